# Proves that file_sizes.cmake refuses 401 lines and accepts 400.
# cmake -D CHECK=<file_sizes.cmake> -D SCRATCH=<directory> -P file_sizes_catches.cmake
cmake_minimum_required(VERSION 3.21)

string(REPEAT "int x[] = {1, 2};\n\n" 200 lines_400)
file(REMOVE_RECURSE ${SCRATCH})
function(check expect_refusal path text)
  file(WRITE ${SCRATCH}/${path} "${text}")
  execute_process(COMMAND ${CMAKE_COMMAND} -D ROOT=${SCRATCH} -P ${CHECK}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  file(REMOVE ${SCRATCH}/${path})
  if(expect_refusal AND NOT (output MATCHES "${path}: 401 lines" AND NOT result EQUAL 0))
    message(SEND_ERROR "401 lines in ${path} must be refused, but:\n${output}")
  elseif(NOT expect_refusal AND NOT result EQUAL 0)
    message(SEND_ERROR "400 lines in ${path} must be accepted, but:\n${output}")
  endif()
endfunction()

check(ON src/tensor/long.cpp "${lines_400}\n")
check(ON src/kernels/long.clh "${lines_400}\n")
check(ON launch/long.h "${lines_400}\n")
check(OFF src/tensor/short.cpp "${lines_400}")
