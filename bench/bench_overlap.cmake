# Training steps with and without overlap.
add_executable(bench_overlap bench_overlap.cpp workload.cpp ${PROJECT_SOURCE_DIR}/launch/open_device.cpp)
target_include_directories(bench_overlap PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(bench_overlap PRIVATE motley motley_options cxxopts::cxxopts nlohmann_json::nlohmann_json)
motley_mpi_bench_test(bench_overlap 2 --steps 1 --sequences 1)
