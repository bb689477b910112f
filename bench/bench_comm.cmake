# The exchange between ranks, against MPI_Allreduce.
add_executable(bench_comm bench_comm.cpp exchanges.cpp mpi_allreduce.cpp paired.cpp
  ${PROJECT_SOURCE_DIR}/launch/open_device.cpp)
target_include_directories(bench_comm PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(bench_comm PRIVATE motley motley_options cxxopts::cxxopts nlohmann_json::nlohmann_json)
motley_mpi_bench_test(bench_comm 2 --sizes 1,5 --repeats 1 --with-device)
motley_mpi_bench_test(bench_comm 3 --sizes 1,5 --repeats 1)
