# cmake -DPROGRAM=... -DMPIEXEC=... -DRANKS=n -P job_failure.cmake
# A failure on one rank must end all ranks soon, with the right exit code and exactly one message.
# RANKS: 0 (without mpirun), 1 or 3.

function(expect MODE EXIT_CODE NUM_MESSAGES PHASE)
  set(command ${PROGRAM} ${MODE})
  if(RANKS GREATER 0)
    list(PREPEND command ${MPIEXEC} -n ${RANKS})
  endif()
  execute_process(COMMAND ${command} TIMEOUT 30 RESULT_VARIABLE code
    OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX MATCHALL "error: [^\n]*shard 7 has no header" messages "${output}")
  list(LENGTH messages found)
  if(NOT code STREQUAL EXIT_CODE OR NOT found EQUAL NUM_MESSAGES)
    message(SEND_ERROR "'${MODE}' on ${RANKS} ranks ended with '${code}' instead of ${EXIT_CODE} and printed "
      "${found} messages instead of ${NUM_MESSAGES}:\n${output}")
  endif()
  if(NUM_MESSAGES GREATER 0 AND RANKS GREATER 1 AND NOT output MATCHES "error: rank 2 on [^\n:]*${PHASE}: ")
    message(SEND_ERROR "the message of '${MODE}' does not name the rank and '${PHASE}':\n${output}")
  endif()
endfunction()

expect(none 0 0 "")
expect(code 75 0 "")
expect(agreed 4 1 ", opening the data")
expect(alone 4 1 "")
expect(foreign 70 1 "")
expect(memory 3 0 "")

# A process that believes itself alone, for its MPI library is not the one that its launcher belongs to.
if(RANKS EQUAL 0)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env OMPI_COMM_WORLD_SIZE=4 ${PROGRAM} none TIMEOUT 30
    RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT code STREQUAL 3 OR NOT output MATCHES "started 4 ranks but MPI connects 1,")
    message(SEND_ERROR "a rank without the other three ended with '${code}' instead of 3:\n${output}")
  endif()
endif()
