// Launching kernels with arguments the compiler checks. kernelgen writes a struct per kernel whose
// fields are these types; none has a default, so a forgotten argument does not compile, and none
// converts, so a wrong type does not either.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include "tensor/device.h"
#include "tensor/stream.h"

namespace motley {

struct F32 {
  static constexpr Dtype dtype = Dtype::f32;
};
struct F16 {
  static constexpr Dtype dtype = Dtype::f16;
};
struct BF16 {
  static constexpr Dtype dtype = Dtype::bf16;
};
/// The type in which activations are stored, f32 or bf16: one for all such arguments of a launch.
struct Stored {};
struct I32 {
  static constexpr Dtype dtype = Dtype::i32;
};
struct U32 {
  static constexpr Dtype dtype = Dtype::u32;
};
struct U16 {
  static constexpr Dtype dtype = Dtype::u16;
};
struct U8 {
  static constexpr Dtype dtype = Dtype::u8;
};

/// A buffer the kernel reads. Like those below it is made implicitly: it stands for its argument.
template <class T>
struct In {
  using Element = T;
  In(const Tensor& t) : tensor(&t) {}  // NOLINT(google-explicit-constructor)
  const Tensor* tensor;
};
/// A buffer the kernel writes. A const tensor does not compile.
template <class T>
struct Out {
  using Element = T;
  Out(Tensor& t) : tensor(&t) {}  // NOLINT(google-explicit-constructor)
  const Tensor* tensor;
};
/// A buffer the kernel can do without: a null pointer becomes one in the kernel.
template <class T>
struct OptionalIn {
  using Element = T;
  OptionalIn(const Tensor* t) : tensor(t) {}  // NOLINT(google-explicit-constructor)
  const Tensor* tensor;
};
template <class T>
struct OptionalOut {
  using Element = T;
  OptionalOut(Tensor* t) : tensor(t) {}  // NOLINT(google-explicit-constructor)
  const Tensor* tensor;
};
/// A number of exactly the kernel's type.
template <class T>
struct Scalar {
  template <std::same_as<T> U>
  Scalar(U v) : value(v) {}  // NOLINT(google-explicit-constructor)
  T value;
};

namespace detail {

/// Sets argument after argument of one kernel.
class ArgumentSetter {
 public:
  /// `stored` is the dtype of the arguments that are Stored.
  ArgumentSetter(cl_kernel kernel, const KernelInfo& info, Dtype stored)
      : kernel_(kernel), info_(info), stored_(stored) {}

  /// Of all buffers that were set.
  std::size_t bytes() const { return bytes_; }

  template <class A>
  void operator()(const char* name, const A& argument) {
    if constexpr (requires { argument.tensor; }) {
      if constexpr (std::same_as<typename A::Element, Stored>) {
        set_buffer(name, argument.tensor, stored_);
      } else {
        set_buffer(name, argument.tensor, A::Element::dtype);
      }
    } else {
      set(name, sizeof argument.value, &argument.value);
    }
  }

 private:
  void set_buffer(const char* name, const Tensor* tensor, Dtype dtype);
  void set(const char* name, std::size_t bytes, const void* value);

  cl_kernel kernel_;
  const KernelInfo& info_;
  Dtype stored_;
  cl_uint index_ = 0;
  std::size_t bytes_ = 0;
};

/// Finds the dtype of a launch's Stored arguments: that of the first of them that is given.
class StoredFinder {
 public:
  /// f32 for a kernel without any. Throws ShapeError for a dtype that nothing is stored in.
  Dtype dtype(const KernelInfo& info) const;

  template <class A>
  void operator()(const char*, const A& argument) {
    if constexpr (requires { argument.tensor; }) {
      if constexpr (std::same_as<typename A::Element, Stored>) {
        if (first_ == nullptr && argument.tensor != nullptr && !argument.tensor->empty())
          first_ = argument.tensor;
      }
    }
  }

 private:
  const Tensor* first_ = nullptr;
};

}  // namespace detail

/// Enqueues a kernel: launch(s, {.groups = {rows, 1, 1}}, k::rms_norm_fwd{.y = y, ...}).
/// `flops`, where an op knows them, are for profiles. Throws ShapeError when a tensor's dtype is
/// not the kernel's or Stored tensors differ in theirs, DeviceError when OpenCL refuses.
template <class K>
void launch(Stream& s, const Grid& grid, const K& arguments, Defines defines = {},
            double flops = 0) {
  detail::StoredFinder stored;
  arguments.each(stored);
  const Dtype dtype = stored.dtype(K::info);
  if (dtype == Dtype::bf16) defines.add("STORED_BF16", 1);
  cl_kernel kernel = s.kernel(K::info, defines);
  detail::ArgumentSetter set(kernel, K::info, dtype);
  arguments.each(set);
  s.enqueue(kernel, K::info, grid, {.flops = flops, .bytes = static_cast<double>(set.bytes())});
}

}  // namespace motley
