# Runs shellcheck over the shell scripts and what they source. cmake -D ROOT=<repository> -P shell.cmake
cmake_minimum_required(VERSION 3.21)
include(${CMAKE_CURRENT_LIST_DIR}/sources.cmake)

find_program(SHELLCHECK shellcheck)
if(NOT SHELLCHECK)
  message("shell: skipped, shellcheck was not found; install the package shellcheck")
  return()
endif()
list_sources(files launch/*.sh launch/*.sbatch tests/*.sh bench/*.sh .ci/run)
execute_process(COMMAND ${SHELLCHECK} -x ${files} WORKING_DIRECTORY ${ROOT}
  RESULT_VARIABLE result OUTPUT_VARIABLE findings ERROR_VARIABLE findings)
if(NOT result EQUAL 0)
  message("${findings}")
  message(FATAL_ERROR "shellcheck found something; fix it, or disable it there with the reason")
endif()
list(LENGTH files num_files)
message("shell: ${num_files} scripts without a finding")
