# Checks that every C++ file is as .clang-format wants it. Kernels are not looked at: clang-format joins
# their attributes and signatures and breaks columns that were aligned by hand.
# cmake -D ROOT=<repository> -P format.cmake
cmake_minimum_required(VERSION 3.21)
include(${CMAKE_CURRENT_LIST_DIR}/sources.cmake)

find_llvm_14(CLANG_FORMAT clang-format)
if(NOT CLANG_FORMAT)
  message("format: skipped, clang-format 14 was not found; install the package clang-format")
  return()
endif()
list_sources(files src/*.cpp src/*.h launch/*.cpp launch/*.h tests/*.cpp tests/*.h bench/*.cpp bench/*.h)
execute_process(COMMAND ${CLANG_FORMAT} --dry-run -Werror ${files} WORKING_DIRECTORY ${ROOT}
  RESULT_VARIABLE result ERROR_VARIABLE errors)
if(NOT result EQUAL 0)
  message("${errors}")
  message(FATAL_ERROR "these files are not formatted; run clang-format -i on them")
endif()
list(LENGTH files num_files)
message("format: ${num_files} files are formatted")
