add_executable(bench_train bench_train.cpp ${PROJECT_SOURCE_DIR}/launch/open_device.cpp)
target_include_directories(bench_train PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(bench_train PRIVATE motley motley_options cxxopts::cxxopts nlohmann_json::nlohmann_json)
target_compile_options(bench_train PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)  # GCC bug 105651
if(MOTLEY_TESTS)
  add_test(NAME bench_train_runs COMMAND bench_train --steps 1)
  set_tests_properties(bench_train_runs PROPERTIES TIMEOUT 300 LABELS bench)
endif()
