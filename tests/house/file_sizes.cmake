# Checks that no source file of src and launch is longer than 400 lines.
# cmake -D ROOT=<repository> -P file_sizes.cmake
cmake_minimum_required(VERSION 3.21)
include(${CMAKE_CURRENT_LIST_DIR}/sources.cmake)

set(max_lines 400)
# Kernels and tables that may be longer, each with a comment that gives the reason.
set(exempt "")

set(patterns "")
foreach(folder src launch)
  list(APPEND patterns ${folder}/*.cpp ${folder}/*.h ${folder}/*.cl ${folder}/*.clh)
endforeach()
list_sources(files ${patterns})
set(too_long "")
foreach(path IN LISTS files)
  file(READ ${ROOT}/${path} text)
  string(REGEX REPLACE "[^\n]+" "" newlines "${text}")
  string(LENGTH "${newlines}" num_lines)
  if(num_lines GREATER max_lines AND NOT path IN_LIST exempt)
    string(APPEND too_long "  ${path}: ${num_lines} lines\n")
  endif()
endforeach()
if(too_long)
  message(FATAL_ERROR "a file holds one idea in 100 to 250 lines, at most ${max_lines}; split these, or "
    "list a kernel or table in tests/house/file_sizes.cmake with the reason:\n${too_long}")
endif()
list(LENGTH files num_files)
message("file_sizes: ${num_files} files of at most ${max_lines} lines")
