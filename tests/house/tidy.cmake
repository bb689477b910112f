# Runs clang-tidy, as .clang-tidy says, over every .cpp of src and launch with the compile commands of a
# build directory, whose generated headers must have been built.
# cmake -D ROOT=<repository> -D BUILD=<build directory> -D JOBS=<processes> -P tidy.cmake
cmake_minimum_required(VERSION 3.21)
include(${CMAKE_CURRENT_LIST_DIR}/sources.cmake)

find_llvm_14(CLANG_TIDY clang-tidy)
if(NOT CLANG_TIDY)
  message("tidy: skipped, clang-tidy 14 was not found; install the package clang-tidy")
  return()
elseif(NOT EXISTS ${BUILD}/compile_commands.json)
  message("tidy: skipped, ${BUILD} has no compile_commands.json; configure with cmake --preset release")
  return()
endif()
list_sources(files src/*.cpp launch/*.cpp)
# clang-tidy passes over a file that it has no command for.
file(READ ${BUILD}/compile_commands.json commands)
foreach(path IN LISTS files)
  string(FIND "${commands}" "/${path}\"" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${BUILD}/compile_commands.json does not have ${path}; configure and build again")
  endif()
endforeach()
list(JOIN files "\n" lines)
set(list ${BUILD}/tidy_files.txt)
file(WRITE ${list} "${lines}\n")
execute_process(COMMAND xargs -P ${JOBS} -n 1 ${CLANG_TIDY} -p ${BUILD} --quiet
  INPUT_FILE ${list} WORKING_DIRECTORY ${ROOT}
  RESULT_VARIABLE result OUTPUT_VARIABLE findings ERROR_VARIABLE errors)
if(NOT result EQUAL 0)
  string(REGEX REPLACE "[0-9]+ warnings?[^\n]* generated\\.\n" "" errors "${errors}")
  message("${findings}${errors}")
  message(FATAL_ERROR "clang-tidy found something; fix it, or write NOLINT(check) with the reason")
endif()
list(LENGTH files num_files)
message("tidy: ${num_files} files without a finding")
