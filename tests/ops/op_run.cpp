#include "tests/ops/op_run.h"

#include <Eigen/Core>
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace motley::test {
namespace {

// Odd, so that nothing is aligned by luck, and wider than any vector access or tile row of a
// kernel.
constexpr std::size_t fence_elements = 77;
// A NaN in f32 and in each half as f16 and bf16; far out of range as an index.
constexpr std::uint16_t fence_pattern = 0xFFF5u;
constexpr unsigned char poison_byte = 0xFFu;

template <class T>
void append(Bytes& bytes, T value) {
  const std::size_t at = bytes.size();
  bytes.resize(at + sizeof value);
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

template <class T>
T load(const Bytes& bytes, std::size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
  return value;
}

void append_value(Bytes& bytes, double value, Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return append(bytes, static_cast<float>(value));
    case Dtype::f16:
      return append(bytes, Eigen::half(static_cast<float>(value)).x);
    case Dtype::bf16:
      return append(bytes, Eigen::bfloat16(static_cast<float>(value)).value);
    case Dtype::i32:
      return append(bytes, static_cast<std::int32_t>(value));
    case Dtype::u32:
      return append(bytes, static_cast<std::uint32_t>(value));
    case Dtype::u16:
      return append(bytes, static_cast<std::uint16_t>(value));
    case Dtype::u8:
      return append(bytes, static_cast<std::uint8_t>(value));
  }
}

double load_value(const Bytes& bytes, std::size_t i, Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return static_cast<double>(load<float>(bytes, i));
    case Dtype::f16:
      return static_cast<double>(
          static_cast<float>(Eigen::numext::bit_cast<Eigen::half>(load<std::uint16_t>(bytes, i))));
    case Dtype::bf16:
      return static_cast<double>(static_cast<float>(
          Eigen::numext::bit_cast<Eigen::bfloat16>(load<std::uint16_t>(bytes, i))));
    case Dtype::i32:
      return static_cast<double>(load<std::int32_t>(bytes, i));
    case Dtype::u32:
      return static_cast<double>(load<std::uint32_t>(bytes, i));
    case Dtype::u16:
      return static_cast<double>(load<std::uint16_t>(bytes, i));
    case Dtype::u8:
      return static_cast<double>(load<std::uint8_t>(bytes, i));
  }
  return 0;
}

std::vector<GuardedTensor> place(Device& device, const std::vector<HostTensor>& tensors) {
  std::vector<GuardedTensor> placed;
  for (const HostTensor& t : tensors) placed.emplace_back(device, t.shape, t.dtype);
  return placed;
}

std::vector<Tensor> views(std::vector<GuardedTensor>& tensors) {
  std::vector<Tensor> list;
  for (GuardedTensor& t : tensors) list.push_back(t.tensor());
  return list;
}

/// The tensor with values that the dtype holds exactly.
HostTensor in_dtype(Dtype dtype, HostTensor tensor) {
  tensor.dtype = dtype;
  tensor.values = decode(encode(tensor), dtype);
  return tensor;
}

}  // namespace

Bytes encode(const HostTensor& tensor) {
  Bytes bytes;
  bytes.reserve(tensor.values.size() * size_of(tensor.dtype));
  for (const double value : tensor.values) append_value(bytes, value, tensor.dtype);
  return bytes;
}

std::vector<double> decode(const Bytes& bytes, Dtype dtype) {
  std::vector<double> values(bytes.size() / size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = load_value(bytes, i, dtype);
  return values;
}

GuardedTensor::GuardedTensor(Device& device, const Shape& shape, Dtype dtype) {
  const std::size_t element = size_of(dtype);
  const std::size_t bytes = (shape.size() + 2 * fence_elements) * element;
  const std::shared_ptr<const Lease> lease = device.pool().lease(bytes);
  block_ = Tensor(lease, 0, {bytes}, Dtype::u8);
  tensor_ = Tensor(lease, fence_elements, shape, dtype);
  begin_ = fence_elements * element;
}

void GuardedTensor::write(Stream& s, const Bytes& bytes) {
  Bytes block(block_.size());
  for (std::size_t i = 0; i < block.size(); ++i) {
    block[i] = static_cast<unsigned char>(fence_pattern >> (8 * (i % 2)));
  }
  const auto contents = block.begin() + static_cast<std::ptrdiff_t>(begin_);
  if (bytes.empty()) {
    std::fill_n(contents, tensor_.bytes(), poison_byte);
  } else {
    require<ShapeError>(
        bytes.size() == tensor_.bytes(), "test.case",
        "a case gives {} bytes for a tensor {} of {} bytes; give one value an element",
        bytes.size(), to_string(tensor_.shape()), tensor_.bytes());
    std::copy(bytes.begin(), bytes.end(), contents);
  }
  s.write(block_, std::span<const unsigned char>(block));
}

Bytes GuardedTensor::read_block(Stream& s) const {
  Bytes block(block_.size());
  s.read(std::span<unsigned char>(block), block_);
  return block;
}

Bytes GuardedTensor::read(Stream& s) const {
  const Bytes block = read_block(s);
  const auto contents = block.begin() + static_cast<std::ptrdiff_t>(begin_);
  return {contents, contents + static_cast<std::ptrdiff_t>(tensor_.bytes())};
}

bool GuardedTensor::fences_hold(Stream& s) const {
  const Bytes block = read_block(s);
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (i == begin_) i += tensor_.bytes();
    if (block[i] != static_cast<unsigned char>(fence_pattern >> (8 * (i % 2)))) return false;
  }
  return true;
}

OpRun::OpRun(Device& device, Problem problem) : device_(device), problem_(std::move(problem)) {
  inputs_ = place(device, problem_.inputs);
  outputs_ = place(device, problem_.outputs);
  if (problem_.run_backward) {
    const HostTensor& y = problem_.outputs.at(0);
    constexpr std::uint64_t dy_salt = 900;
    dy_ = in_dtype(y.dtype, random_tensor(y.shape, dy_salt));
    if (!problem_.dy.empty()) dy_.values = problem_.dy;
    dy_tensor_ = place(device, {dy_});
    for (const GradientOf& g : problem_.gradients_of) {
      const HostTensor& input = problem_.inputs.at(g.input);
      HostTensor before{.shape = input.shape};
      if (g.accumulates) before.values = random_values(input.shape.size(), dy_salt + 1 + g.input);
      gradients_before_.push_back(in_dtype(input.dtype, std::move(before)));
    }
    gradients_ = place(device, gradients_before_);
  }
  input_views_ = views(inputs_);
  output_views_ = views(outputs_);
  gradient_views_ = views(gradients_);
  reset();
}

void OpRun::reset() {
  Stream& s = device_.stream();
  for (std::size_t i = 0; i < inputs_.size(); ++i) inputs_[i].write(s, encode(problem_.inputs[i]));
  for (std::size_t i = 0; i < outputs_.size(); ++i)
    outputs_[i].write(s, encode(problem_.outputs[i]));
  reset_backward();
}

void OpRun::reset_backward() {
  backward_ran_ = false;
  for (GuardedTensor& dy : dy_tensor_) dy.write(device_.stream(), encode(dy_));
  for (std::size_t i = 0; i < gradients_.size(); ++i) {
    gradients_[i].write(device_.stream(), encode(gradients_before_[i]));
  }
}

void OpRun::forward() {
  problem_.run(device_.stream(), output_views_, input_views_);
}

void OpRun::backward() {
  backward_ran_ = true;
  problem_.run_backward(device_.stream(), gradient_views_, dy_tensor_.at(0).tensor(), output_views_,
                        input_views_);
}

std::vector<Bytes> OpRun::read_outputs() {
  std::vector<Bytes> all;
  for (const GuardedTensor& t : outputs_) all.push_back(t.read(device_.stream()));
  return all;
}

std::vector<Bytes> OpRun::read_gradients() {
  std::vector<Bytes> all;
  for (const GuardedTensor& t : gradients_) all.push_back(t.read(device_.stream()));
  return all;
}

std::string OpRun::find_damage() {
  Stream& s = device_.stream();
  std::string damage;
  const auto check_fences = [&](const char* what, const std::vector<GuardedTensor>& tensors) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (!tensors[i].fences_hold(s)) damage += fmt::format("written outside {} {}; ", what, i);
    }
  };
  check_fences("input", inputs_);
  check_fences("output", outputs_);
  check_fences("gradient", gradients_);
  check_fences("dy", dy_tensor_);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].read(s) != encode(problem_.inputs[i]))
      damage += fmt::format("input {} changed; ", i);
  }
  const bool dy_is_output = problem_.dy_becomes_output && backward_ran_;
  for (const GuardedTensor& dy : dy_tensor_) {
    if (dy.read(s) != (dy_is_output ? outputs_.at(0).read(s) : encode(dy_)))
      damage += dy_is_output ? "dy is not the output; " : "dy changed; ";
  }
  return damage;
}

}  // namespace motley::test
