# Questions to a new GPU and its driver; bench/gpu.sh asks them there.
add_executable(probe probe.cpp probe_clblast.cpp probe_compiler.cpp probe_memory.cpp probe_speed.cpp
  ${PROJECT_SOURCE_DIR}/launch/open_device.cpp)
target_include_directories(probe PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(probe PRIVATE motley motley_options cxxopts::cxxopts nlohmann_json::nlohmann_json)
if(MOTLEY_TESTS)
  add_test(NAME probe_runs COMMAND probe)
  set_tests_properties(probe_runs PROPERTIES TIMEOUT 300 LABELS bench FAIL_REGULAR_EXPRESSION "\"failed\"")
endif()
