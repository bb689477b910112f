namespace motley {}
