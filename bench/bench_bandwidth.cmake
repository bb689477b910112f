# Ops that memory limits, beside long additions.
add_executable(bench_bandwidth bench_bandwidth.cpp bandwidth_rows.cpp paired.cpp
  ${PROJECT_SOURCE_DIR}/launch/open_device.cpp)
target_include_directories(bench_bandwidth PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(bench_bandwidth PRIVATE motley motley_options cxxopts::cxxopts nlohmann_json::nlohmann_json)
if(MOTLEY_TESTS)
  add_test(NAME bench_bandwidth_runs COMMAND bench_bandwidth --mib 1 --rounds 1)
  set_tests_properties(bench_bandwidth_runs PROPERTIES TIMEOUT 300 LABELS bench)
endif()
