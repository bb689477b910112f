// What the driver's OpenCL compiler takes beyond OpenCL 1.2. Nothing here is used by Motley yet but
// mma.sync (kernels/matrix_nvidia.clh); the answers say which ways are open.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "bench/probe.h"
#include "tensor/half.h"

namespace motley::bench {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t warp_group = 128;   // work-items that a wgmma belongs to
constexpr std::size_t sums_per_item = 4;  // of m64n8k16

/// A program that was tried, and what came of it.
struct Trial {
  cl::Program program;
  ordered_json answer;
  bool builds = false;
};

std::string first_lines(std::string text, std::size_t most) {
  while (!text.empty() && (text.back() == '\0' || text.back() == '\n')) text.pop_back();
  if (text.size() > most) text.resize(most);
  return text;
}

Trial built(Device& device, cl::Program program, const std::string& options) {
  Trial trial{.program = std::move(program), .answer = {}, .builds = false};
  const cl_int code = trial.program.build(device.info().handle, options.c_str());
  trial.builds = code == CL_SUCCESS;
  trial.answer["builds"] = trial.builds;
  if (trial.builds) return trial;
  std::string log;
  trial.program.getBuildInfo(device.info().handle, CL_PROGRAM_BUILD_LOG, &log);
  trial.answer["error"] = cl_error_name(code);
  trial.answer["log"] = first_lines(log, 800);
  return trial;
}

Trial build_source(Device& device, const std::string& source, const std::string& options) {
  cl_int code = CL_SUCCESS;
  cl::Program program(device.context(), source, false, &code);
  check_cl(code, "clCreateProgramWithSource");
  return built(device, std::move(program), options);
}

Trial load_binary(Device& device, const std::string& text) {
  const std::vector<unsigned char> binary(text.begin(), text.end());
  cl_int code = CL_SUCCESS;
  std::vector<cl_int> status;
  cl::Program program(device.context(), {device.info().handle}, {binary}, &status, &code);
  if (code != CL_SUCCESS)
    return {.program = {}, .answer = {{"builds", false}, {"error", cl_error_name(code)}}};
  return built(device, std::move(program), "");
}

/// Runs the kernel `probe(global float* out)` in one group; what it wrote.
std::vector<float> run(Device& device, const Trial& trial, std::size_t items, std::size_t size) {
  cl_int code = CL_SUCCESS;
  cl::Kernel kernel(trial.program, "probe", &code);
  check_cl(code, "clCreateKernel");
  Tensor out = device.zeros({size});
  check_cl(kernel.setArg(0, out.buffer()), "clSetKernelArg");
  Stream& s = device.stream();
  check_cl(
      clEnqueueNDRangeKernel(s.queue(), kernel(), 1, nullptr, &items, &items, 0, nullptr, nullptr),
      "clEnqueueNDRangeKernel");
  std::vector<float> values(size);
  s.read<float>(values, out);
  return values;
}

/// Adds to the answer whether all of `out` came to `expected`.
void check_run(Device& device, Trial& trial, std::size_t items, std::size_t size, float expected) {
  if (!trial.builds) return;
  try {
    const std::vector<float> values = run(device, trial, items, size);
    trial.answer["runs"] = true;
    trial.answer["first_value"] = values.front();
    trial.answer["right"] =
        std::all_of(values.begin(), values.end(), [&](float v) { return v == expected; });
  } catch (const Error& e) {
    trial.answer["runs"] = false;
    trial.answer["error"] = e.what();
  }
}

std::string program_binary(const cl::Program& program) {
  std::vector<std::vector<unsigned char>> binaries;
  check_cl(program.getInfo(CL_PROGRAM_BINARIES, &binaries), "clGetProgramInfo");
  if (binaries.empty()) return "";
  return {binaries[0].begin(), binaries[0].end()};
}

/// The word after the first `name` at the start of a line of PTX; "" where there is none.
std::string directive(const std::string& ptx, const std::string& name) {
  const std::size_t at = ptx.find("\n" + name + " ");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + name.size() + 2;
  return ptx.substr(begin, ptx.find('\n', begin) - begin);
}

const std::string plain_source = R"(
kernel void probe(global float* out) { out[get_global_id(0)] = 1.0f; }
)";

ordered_json ask_binary(Device& device) {
  Trial trial = build_source(device, plain_source, "");
  if (!trial.builds) return trial.answer;
  const std::string binary = program_binary(trial.program);
  ordered_json answer{{"bytes", binary.size()}, {"is_ptx", !directive(binary, ".target").empty()}};
  if (!answer["is_ptx"].get<bool>()) return answer;
  answer["version"] = directive(binary, ".version");
  answer["target"] = directive(binary, ".target");
  answer["text"] = first_lines(binary, 1500);
  return answer;
}

/// The one instruction that needs sm_90a: c = a b of bf16 from local memory full of ones, in
/// whatever layout, so that each of the 64 x 8 sums is 16. `%%` is a `%` of PTX as OpenCL's asm
/// writes it.
const std::string wgmma_instructions = R"(
  "wgmma.fence.sync.aligned;"
  "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, 0, 1, 1, 0, 0;"
  "wgmma.commit_group.sync.aligned;"
  "wgmma.wait_group.sync.aligned 0;"
)";

const std::string wgmma_source = R"(
kernel void probe(global float* out) {
  local ushort ones[8192] __attribute__((aligned(1024)));
  const uint lane = get_local_id(0);
  for (uint i = lane; i < 8192; i += 128) ones[i] = 0x3F80;  /* 1 in bf16 */
  barrier(CLK_LOCAL_MEM_FENCE);
  __asm__ volatile("fence.proxy.async;" : : : "memory");
  const ulong at = (((uint)(ulong)ones) & 0x3FFFF) >> 4;
  const ulong descriptor = at | (8ul << 16) | (16ul << 32);
  float a, b, c, d;
  __asm__ volatile()" + wgmma_instructions +
                                 R"(
      : "=f"(a), "=f"(b), "=f"(c), "=f"(d) : "l"(descriptor), "l"(descriptor) : "memory");
  out[lane * 4] = a;
  out[lane * 4 + 1] = b;
  out[lane * 4 + 2] = c;
  out[lane * 4 + 3] = d;
}
)";

bool is_nvidia(const Device& device) {
  return device.info().matrix_hints.nvidia_capability > 0;
}

const ordered_json for_nvidia{{"skipped", "asked of NVIDIA's GPUs alone"}};

ordered_json ask_wgmma_source(Device& device) {
  if (!is_nvidia(device)) return for_nvidia;
  ordered_json answer;
  for (const std::string options :
       {"", "-cl-nv-arch sm_90", "-cl-nv-arch sm_90a", "-cl-nv-opt-level 3 -cl-nv-arch sm_90a"}) {
    Trial plain = build_source(device, plain_source, options);
    if (plain.builds) plain.answer["target"] = directive(program_binary(plain.program), ".target");
    Trial trial = build_source(device, wgmma_source, options);
    check_run(device, trial, warp_group, warp_group * sums_per_item, 16.0f);
    answer["options"].push_back(
        {{"options", options}, {"plain", plain.answer}, {"wgmma", trial.answer}});
  }
  return answer;
}

/// A program in PTX as the driver gives it, with one global pointer as its parameter.
std::string ptx_program(std::string_view version, std::string_view target, std::string_view body) {
  return fmt::format(
      ".version {}\n.target {}\n.address_size 64\n\n"
      ".visible .entry probe(.param .u64 .ptr .global .align 4 out)\n{{\n"
      ".reg .pred %p<4>;\n.reg .b32 %r<16>;\n.reg .b64 %d<16>;\n.reg .f32 %f<8>;\n{}\nret;\n}}\n",
      version, target, body);
}

constexpr std::string_view store_ones = R"(
ld.param.u64 %d1, [out];
mov.u32 %r1, %tid.x;
mul.wide.u32 %d2, %r1, 4;
add.s64 %d3, %d1, %d2;
st.global.f32 [%d3], 0f3F800000;
)";

constexpr std::string_view multiply_ones = R"(
.shared .align 1024 .b8 ones[16384];
ld.param.u64 %d1, [out];
mov.u32 %r1, %tid.x;
mov.u32 %r2, ones;
shl.b32 %r3, %r1, 2;
add.u32 %r4, %r2, %r3;
mov.u32 %r5, 0;
more:
st.shared.b32 [%r4], 0x3F803F80;
add.u32 %r4, %r4, 512;
add.u32 %r5, %r5, 1;
setp.lt.u32 %p1, %r5, 32;
@%p1 bra more;
bar.sync 0;
fence.proxy.async;
and.b32 %r6, %r2, 0x3FFFF;
shr.u32 %r6, %r6, 4;
cvt.u64.u32 %d4, %r6;
or.b64 %d4, %d4, 0x1000080000;
wgmma.fence.sync.aligned;
wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %d4, %d4, 0, 1, 1, 0, 0;
wgmma.commit_group.sync.aligned;
wgmma.wait_group.sync.aligned 0;
mul.wide.u32 %d2, %r1, 16;
add.s64 %d3, %d1, %d2;
st.global.f32 [%d3], %f1;
st.global.f32 [%d3+4], %f2;
st.global.f32 [%d3+8], %f3;
st.global.f32 [%d3+12], %f4;
)";

ordered_json ask_ptx_binary(Device& device) {
  if (!is_nvidia(device)) return for_nvidia;
  ordered_json answer;
  for (const std::string_view target : {"sm_80", "sm_90", "sm_90a"}) {
    Trial trial = load_binary(device, ptx_program("8.0", target, store_ones));
    check_run(device, trial, warp_group, warp_group, 1.0f);
    answer["plain"][std::string(target)] = trial.answer;
  }
  Trial trial = load_binary(device, ptx_program("8.0", "sm_90a", multiply_ones));
  check_run(device, trial, warp_group, warp_group * sums_per_item, 16.0f);
  answer["wgmma"] = trial.answer;
  return answer;
}

constexpr std::string_view half_body = R"(
kernel void probe(global float* out) {
  half x = (half)0.5f;
  for (int i = 0; i < 4; ++i) x = x * (half)0.5f + (half)0.5f;
  out[get_global_id(0)] = (float)x;
}
)";

ordered_json ask_half(Device& device) {
  ordered_json answer;
  for (const std::string standard : {"-cl-std=CL1.2", "-cl-std=CL3.0"}) {
    Trial without = build_source(device, std::string(half_body), standard);
    check_run(device, without, 1, 1, 0.96875f);
    Trial with = build_source(
        device, "#pragma OPENCL EXTENSION cl_khr_fp16 : enable\n" + std::string(half_body),
        standard);
    check_run(device, with, 1, 1, 0.96875f);
    answer["arithmetic"].push_back(
        {{"options", standard}, {"without_pragma", without.answer}, {"with_pragma", with.answer}});
  }
  Trial storage = build_source(device, R"(
kernel void probe(global float* out) {
  ushort x[2];
  vstore_half(0.1f, 0, (half*)x);
  out[get_global_id(0)] = vload_half(0, (half*)x);
}
)",
                               "-cl-std=CL1.2");
  check_run(device, storage, 1, 1, f32_from_f16(f16_from_f32(0.1f)));
  answer["storage"] = storage.answer;
  return answer;
}

}  // namespace

std::span<const Probe> compiler_probes() {
  static constexpr std::array probes{
      Probe{"binary", "is CL_PROGRAM_BINARIES PTX, and for which target?", ask_binary},
      Probe{"half", "does half arithmetic compile without the extension?", ask_half},
      Probe{"wgmma_source", "does -cl-nv-arch sm_90a let OpenCL C use wgmma?", ask_wgmma_source},
      Probe{"ptx_binary", "does clCreateProgramWithBinary take our own PTX, also of sm_90a?",
            ask_ptx_binary}};
  return probes;
}

}  // namespace motley::bench
