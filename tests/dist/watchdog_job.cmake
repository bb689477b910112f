# cmake -DPROGRAM=... -DMPIEXEC=... -DMODE=... -DRANK=... -P watchdog_job.cmake
# One of three ranks stands still in its seventh step. The job must end with exit code 8 and a verdict that names
# that rank; the ranks that can must have written their flight recorders. MODE: none, stop (the whole process),
# hang (its main thread), deaf (its communication thread).

string(RANDOM LENGTH 12 suffix)
set(logs ${CMAKE_CURRENT_BINARY_DIR}/watchdog-${suffix})
execute_process(COMMAND ${MPIEXEC} -n 3 ${PROGRAM} ${MODE} ${RANK} ${logs}
  TIMEOUT 60 RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
file(GLOB dumps RELATIVE ${logs} ${logs}/*/*)
set(contents "")
foreach(dump IN LISTS dumps)
  file(READ ${logs}/${dump} text)
  string(APPEND contents "${text}")
endforeach()
file(REMOVE_RECURSE ${logs})
string(REGEX MATCHALL "error.comm.stalled. [^\n]*" verdicts "${output}")

function(require_match WHAT TEXT PATTERN)
  if(NOT TEXT MATCHES "${PATTERN}")
    message(FATAL_ERROR "${WHAT} of '${MODE}' on rank ${RANK} lacks '${PATTERN}'; the job printed:\n${output}\n"
      "and dumped: ${dumps}")
  endif()
endfunction()

if(MODE STREQUAL "none")
  require_match("the exit code" "${code}" "^0$")
  require_match("what was dumped" "${dumps}" "^$")
  return()
endif()

require_match("the exit code" "${code}" "^8$")
if(MODE STREQUAL "hang")
  set(reason " is without progress for [0-9]+ s in step 7, compute; 2 ranks wait for it in")
elseif(MODE STREQUAL "stop" OR NOT RANK EQUAL 0)
  set(reason " has not been heard of for [0-9]+ s; last seen in step [0-7], ")
else()
  set(reason ": its communication thread has not run for [0-9]+ s")
endif()
require_match("the verdict" "${verdicts}" "rank ${RANK} on [^ ]+ \\(no device\\)${reason}")
if(NOT RANK EQUAL 0)
  string(REGEX MATCHALL "error.comm.stalled." codes "${output}")
  list(LENGTH codes count)
  require_match("the number of verdicts" "${count}" "^1$")
endif()

# Rank 0 decides and all that it can reach obey; without rank 0 each rank writes what it knows before the first of
# them ends the job, so one dump is sure.
if(MODE STREQUAL "hang")
  require_match("what was dumped" "${dumps}" "^stall-7/rank0.txt;stall-7/rank1.txt;stall-7/rank2.txt$")
elseif(NOT RANK EQUAL 0)
  require_match("what was dumped" "${dumps}" "stall-7/rank0.txt")
  require_match("what was dumped" "${dumps}" "stall-7/rank1.txt")
  require_match("the dumps" "${contents}" "the other ranks as heard of last")
else()
  require_match("what was dumped" "${dumps}" "stall-7/rank[012].txt")
endif()
require_match("the dumps" "${contents}" "under way +[0-9]+ +0  'exchange bucket 3'|step 7 compute")
