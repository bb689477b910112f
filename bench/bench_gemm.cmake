# The products of training steps, against OpenBLAS where it is installed.
add_executable(bench_gemm bench_gemm.cpp openblas.cpp paired.cpp workload.cpp
  ${PROJECT_SOURCE_DIR}/launch/open_device.cpp)
target_include_directories(bench_gemm PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(bench_gemm PRIVATE motley motley_options cxxopts::cxxopts nlohmann_json::nlohmann_json
  ${CMAKE_DL_LIBS})
if(MOTLEY_TESTS)
  add_test(NAME bench_gemm_runs COMMAND bench_gemm --rounds 1)
  add_test(NAME bench_gemm_runs_in_bf16 COMMAND bench_gemm --rounds 1 --dtype bf16)
  add_test(NAME bench_gemm_runs_in_f16 COMMAND bench_gemm --rounds 1 --dtype f16)
  set_tests_properties(bench_gemm_runs bench_gemm_runs_in_bf16 bench_gemm_runs_in_f16
    PROPERTIES TIMEOUT 300 LABELS bench)
endif()
