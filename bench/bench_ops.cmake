# Speed of the ops. It shares the tests' descriptions, so it needs MOTLEY_TESTS.
get_property(op_cases GLOBAL PROPERTY MOTLEY_OP_CASES)
if(op_cases)
  list(TRANSFORM op_cases REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE op_case_objects)
  add_executable(bench_ops bench_ops.cpp ${op_case_objects} $<TARGET_OBJECTS:op_framework>)
  target_include_directories(bench_ops PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(bench_ops PRIVATE motley_kernels nlohmann_json::nlohmann_json motley_options)
endif()
if(op_cases AND MOTLEY_TESTS)
  add_test(NAME bench_ops.runs COMMAND bench_ops --brief)
  add_test(NAME bench_ops.runs_in_bf16 COMMAND bench_ops --brief --dtype bf16)
  set_tests_properties(bench_ops.runs bench_ops.runs_in_bf16
    PROPERTIES LABELS slow TIMEOUT 600 PROCESSORS 2)
endif()
