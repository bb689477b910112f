// Launching kernels with arguments the compiler checks. kernelgen writes a struct per kernel whose
// fields are these types; none has a default, so a forgotten argument does not compile, and none
// converts, so a wrong type does not either.
#pragma once

#include <array>
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
/// What may be f32, bf16 or f16: activations, which are of one dtype in a launch (group 0,
/// `stored`), and two more groups for products of mixed ones (`stored_b`, `stored_c`).
template <int group>
struct Stored {
  static constexpr int number = group;
};
constexpr std::size_t num_stored_groups = 3;
/// By group.
using StoredDtypes = std::array<Dtype, num_stored_groups>;
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
  /// `stored` are the dtypes of the arguments that are Stored.
  ArgumentSetter(Stream& s, cl_kernel kernel, const KernelInfo& info, const StoredDtypes& stored)
      : recorder_(s.recorder()), kernel_(kernel), info_(info), stored_(stored) {}

  /// Of all buffers that were set.
  std::size_t bytes() const { return bytes_; }

  template <class A>
  void operator()(const char* name, const A& argument) {
    if constexpr (requires { argument.tensor; }) {
      if constexpr (requires { A::Element::number; }) {
        set_buffer(name, argument.tensor, stored_[A::Element::number]);
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

  Recorder* recorder_;
  cl_kernel kernel_;
  const KernelInfo& info_;
  StoredDtypes stored_;
  cl_uint index_ = 0;
  std::size_t bytes_ = 0;
};

/// Finds the dtypes of a launch's Stored arguments: those of the first that is given of each group.
class StoredFinder {
 public:
  /// f32 for a group of which there is none. Throws ShapeError for another dtype.
  StoredDtypes dtypes(const KernelInfo& info) const;

  template <class A>
  void operator()(const char*, const A& argument) {
    if constexpr (requires { A::Element::number; }) {
      const Tensor*& first = first_[A::Element::number];
      if (first == nullptr && argument.tensor != nullptr && !argument.tensor->empty())
        first = argument.tensor;
    }
  }

 private:
  std::array<const Tensor*, num_stored_groups> first_{};
};

/// `defines` with those that say which groups are bf16 or f16.
Defines with_stored(Defines defines, const StoredDtypes& dtypes);

}  // namespace detail

/// Enqueues a kernel: launch(s, {.groups = {rows, 1, 1}}, k::rms_norm_fwd{.y = y, ...}).
/// `flops`, where an op knows them, are for profiles. Throws ShapeError when a tensor's dtype is
/// not the kernel's or Stored tensors of a group differ, DeviceError when OpenCL refuses.
template <class K>
void launch(Stream& s, const Grid& grid, const K& arguments, const Defines& defines = {},
            double flops = 0) {
  detail::StoredFinder stored;
  arguments.each(stored);
  const StoredDtypes dtypes = stored.dtypes(K::info);
  cl_kernel kernel = s.kernel(K::info, detail::with_stored(defines, dtypes));
  detail::ArgumentSetter set(s, kernel, K::info, dtypes);
  arguments.each(set);
  s.enqueue(kernel, K::info, grid, {.flops = flops, .bytes = static_cast<double>(set.bytes())});
}

}  // namespace motley
