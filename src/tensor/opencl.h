// The OpenCL C++ bindings, set up for OpenCL 1.2, and the one way we check a call.
// Only handles (cl::Buffer, cl::Kernel, ...) are used: not the bindings' implicit default device.
#pragma once

#define CL_HPP_TARGET_OPENCL_VERSION 120
#define CL_HPP_MINIMUM_OPENCL_VERSION 120
#include <CL/opencl.hpp>
#include <string_view>

namespace motley {

/// The name of an OpenCL error code: "CL_OUT_OF_RESOURCES".
std::string_view cl_error_name(cl_int code);

/// Throws DeviceError naming the call and the error unless `code` is CL_SUCCESS.
void check_cl(cl_int code, std::string_view call);

}  // namespace motley
