# Proves that error_codes.cmake refuses a code that is thrown and not listed, and one that is listed and not thrown.
# cmake -D CHECK=<error_codes.cmake> -D SCRATCH=<directory> -P error_codes_catches.cmake
cmake_minimum_required(VERSION 3.21)

file(REMOVE_RECURSE ${SCRATCH})
function(check expected listed code)
  file(WRITE ${SCRATCH}/src/a.cpp "// fail<DataError>(\"data.comment\", \"x\");\nvoid f() {\n${code}\n}\n")
  file(WRITE ${SCRATCH}/docs/errors.md "| code | what |\n| --- | --- |\n| ${listed} | see `data.remedy` |\n")
  execute_process(COMMAND ${CMAKE_COMMAND} -D ROOT=${SCRATCH} -P ${CHECK}
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(expected STREQUAL "" AND NOT result EQUAL 0)
    message(SEND_ERROR "'${code}' with ${listed} must be accepted, but:\n${output}")
  elseif(NOT expected STREQUAL "" AND NOT (output MATCHES "${expected}" AND NOT result EQUAL 0))
    message(SEND_ERROR "'${code}' with ${listed} must be refused with '${expected}', but:\n${output}")
  endif()
endfunction()

set(two "require<DataError>(a[0] != \"x\",\n  \"data.one\", \"{}\", b);\n  throw IoError(\"io.two\", text);")
check("" "`data.one`, `io.two`" "${two}")
check("io.two is thrown and not" "`data.one`" "${two}")
check("data.three is in docs/errors.md and never" "`data.one`, `io.two`, `data.three`" "${two}")
check("" "`data.one`, `io.two`" "${two}\n  fail<ShapeError>(\"op.shape\", \"x\");")
check("comm.spoken is thrown and not" "`data.one`, `io.two`" "${two}\n  log::error(\"error[comm.spoken]  {}\", c);")
