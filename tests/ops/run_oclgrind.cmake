# Runs an op test under Oclgrind and fails for anything Oclgrind reports: invalid reads and writes, data
# races, barriers that part of a group misses.
# cmake -D OCLGRIND=... -D PROGRAM=... -D LOG=... -P run_oclgrind.cmake
file(REMOVE ${LOG})
execute_process(
  COMMAND ${OCLGRIND} --data-races --max-errors 20 --log ${LOG} ${PROGRAM} --oclgrind --gtest_brief=1
  RESULT_VARIABLE result)
if(EXISTS ${LOG})
  file(READ ${LOG} report)
endif()
if(NOT "${report}" STREQUAL "")
  message(FATAL_ERROR "Oclgrind found errors:\n${report}")
endif()
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} failed under Oclgrind with ${result}")
endif()
