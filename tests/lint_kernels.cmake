# Compiles every kernel file, without output, for targets as different as devices are, with warnings as
# errors. A file that needs -D definitions says which in its first lines, one variant a line:
#   // lint: -DHEAD_DIM=64
# One with arguments of type `stored` is compiled for f32 and for bf16.
# cmake -D KERNELS=src/kernels -P lint_kernels.cmake
find_program(CLANG NAMES clang clang-14 clang-15 clang-16)
if(NOT CLANG)
  message("lint_kernels: skipped, clang was not found; install the package clang")
  return()
endif()

# The offline formats of Intel, AMD and NVIDIA, and the processor PoCL compiles for. clang 14's built-in
# declarations lack vload_half for NVIDIA; the header it comes with has it.
set(builtins -Xclang -finclude-default-header)
set(spir64 -target spir64-unknown-unknown ${builtins})
set(amdgcn -target amdgcn-amd-amdhsa -mcpu=gfx1030 -nogpulib ${builtins})
set(nvptx64 -target nvptx64-nvidia-nvcl -nogpulib -cl-no-stdinc -include opencl-c.h)
set(x86_64 -target x86_64-unknown-linux-gnu ${builtins})
set(flags -x cl -cl-std=CL1.2 -fsyntax-only -Wall -Wextra -Werror)

file(GLOB kernels ${KERNELS}/*.cl)
set(num_compiled 0)
set(failures "")
foreach(kernel IN LISTS kernels)
  file(STRINGS ${kernel} variants REGEX "^// lint: ")
  if(NOT variants)
    set(variants "// lint: ")
  endif()
  file(STRINGS ${kernel} uses_stored REGEX "[( ]stored(_[bc])?\\*" LIMIT_COUNT 1)
  if(uses_stored)
    set(in_float ${variants})
    list(TRANSFORM variants APPEND " -DSTORED_BF16=1 -DSTORED_B_BF16=1 -DSTORED_C_BF16=1")
    list(PREPEND variants ${in_float})
  endif()
  foreach(variant IN LISTS variants)
    string(REPLACE "// lint: " "" variant "${variant}")
    separate_arguments(defines UNIX_COMMAND "${variant}")
    foreach(target spir64 amdgcn nvptx64 x86_64)
      execute_process(COMMAND ${CLANG} ${flags} ${${target}} ${defines} ${kernel}
        RESULT_VARIABLE result ERROR_VARIABLE errors)
      math(EXPR num_compiled "${num_compiled} + 1")
      if(NOT result EQUAL 0)
        string(APPEND failures "${kernel} ${variant} for ${target}:\n${errors}\n")
      endif()
    endforeach()
  endforeach()
endforeach()
if(num_compiled EQUAL 0)
  message(FATAL_ERROR "there is no kernel file in '${KERNELS}'; give the folder as -D KERNELS=...")
endif()
if(failures)
  message(FATAL_ERROR "${failures}")
endif()
message("lint_kernels: ${num_compiled} compilations without a warning")
