#include "bench/bandwidth_rows.h"

#include <algorithm>
#include <memory>

#include "kernels/generated.h"
#include "kernels/launch.h"
#include "kernels/ops.h"

namespace motley::bench {
namespace {

constexpr std::size_t norm_width = 768;
constexpr std::size_t mlp_width = 1536;
constexpr std::size_t vocab = 8192;
constexpr op::AttentionShape rope_shape{.B = 0, .T = 1024, .H = 8, .G = 2, .D = 64};
constexpr std::size_t cross_entropy_gpu_group = 256;  // as in cross_entropy.cpp

/// Tensors of one row, filled with numbers that kernels do not find easier than others.
class Tensors {
 public:
  Tensors(Device& device, Dtype dtype) : device_(device), dtype_(dtype) {}

  Tensor f32(const Shape& shape) {
    Tensor tensor = device_.tensor(shape);
    op::random_uniform(device_.stream(), tensor, Random(1, Purpose::init));
    return tensor;
  }
  /// Of the row's dtype.
  Tensor activation(const Shape& shape) {
    if (dtype_ == Dtype::f32) return f32(shape);
    Tensor tensor = device_.tensor(shape, dtype_);
    op::cast(device_.stream(), tensor, f32(shape));
    return tensor;
  }
  Stream& stream() { return device_.stream(); }
  Dtype dtype() const { return dtype_; }
  double activation_bytes() const { return static_cast<double>(size_of(dtype_)); }

 private:
  Device& device_;
  Dtype dtype_;
};

/// Bytes of a row per element of its large tensors.
struct Streams {
  double moved = 0;         // in numbers of the row's dtype that are read or written
  double only_written = 0;  // of those
  double f32 = 0;           // in floats that are read or written
  bool only_reads = false;
};

BandwidthRow row(std::string name, Tensors& t, std::size_t elements, const Streams& streams,
                 std::function<void()> run) {
  const auto n = static_cast<double>(elements);
  return {.name = std::move(name),
          .dtype = t.dtype(),
          .bytes = n * (streams.moved * t.activation_bytes() + 4 * streams.f32),
          .allocated = n * streams.only_written * t.activation_bytes(),
          .only_reads = streams.only_reads,
          .run = std::move(run)};
}

BandwidthRow sum_row(Tensors& t, std::size_t elements) {
  return row("sum", t, elements, {.f32 = 1, .only_reads = true},
             [&s = t.stream(), x = t.f32({elements}), out = t.f32({1})]() mutable {
               op::sum(s, out, x, op::Into::replace);
             });
}

BandwidthRow squares_row(Tensors& t, std::size_t elements) {
  const std::size_t chunks = (elements + op::squares_chunk - 1) / op::squares_chunk;
  return row("chunk_squares", t, elements, {.f32 = 1},
             [&s = t.stream(), x = t.f32({elements}), squares = t.f32({chunks}),
              counts = t.f32({chunks})]() mutable { op::chunk_squares(s, squares, counts, x); });
}

BandwidthRow pack_row(Tensors& t, std::size_t elements) {
  Tensor bad = t.stream().device().zeros({1}, Dtype::i32);
  return row("pack one addend", t, elements, {.f32 = 3},
             [&s = t.stream(), y = t.f32({elements}), bad,
              addends = std::vector{t.f32({elements})}]() mutable {
               op::pack(s, {.y = y, .bad = bad}, addends);
             });
}

BandwidthRow adamw_row(Tensors& t, std::size_t elements) {
  return row(
      "adamw", t, elements, {.f32 = 7},
      [&s = t.stream(), w = t.f32({elements}), m = t.f32({elements}), v = t.f32({elements}),
       g = t.f32({elements}), control = t.stream().device().zeros({op::control_size})]() mutable {
        op::adamw(s, w, m, v, g, control, {.learning_rate = 1e-3f});
      });
}

BandwidthRow lion_row(Tensors& t, std::size_t elements) {
  return row("lion", t, elements, {.f32 = 5},
             [&s = t.stream(), w = t.f32({elements}), m = t.f32({elements}), g = t.f32({elements}),
              control = t.stream().device().zeros({op::control_size})]() mutable {
               op::lion(s, w, m, g, control, {.learning_rate = 1e-3f});
             });
}

BandwidthRow add_row(Tensors& t, std::size_t elements) {
  return row("add", t, elements, {.moved = 3},
             [&s = t.stream(), y = t.activation({elements}),
              x = t.activation({elements})]() mutable { op::add(s, y, x); });
}

BandwidthRow column_sum_row(Tensors& t, std::size_t elements) {
  const std::size_t N = elements / mlp_width;
  return row("column_sum", t, N * mlp_width, {.moved = 1, .only_reads = true},
             [&s = t.stream(), x = t.activation({N, mlp_width}),
              out = t.f32({mlp_width})]() mutable { op::column_sum(s, out, x); });
}

// Of a size that is stored past the caches: nothing is read before it is written.
BandwidthRow rms_norm_row(Tensors& t, std::size_t elements) {
  const std::size_t N = elements / norm_width;
  return row("rms_norm", t, N * norm_width, {.moved = 2},
             [&s = t.stream(), x = t.activation({N, norm_width}), y = t.activation({N, norm_width}),
              w = t.f32({norm_width}),
              rstd = t.f32({N})]() mutable { op::rms_norm(s, y, rstd, x, w, 1e-5f); });
}

BandwidthRow rms_norm_backward_row(Tensors& t, std::size_t elements) {
  const std::size_t N = elements / norm_width;
  const Shape shape{N, norm_width};
  return row(
      "rms_norm_backward, added", t, N * norm_width, {.moved = 5},
      [&s = t.stream(), x = t.activation(shape), dy = t.activation(shape), dx = t.activation(shape),
       w = t.f32({norm_width}), dw = t.f32({norm_width}), rstd = t.f32({N})]() mutable {
        op::rms_norm_backward(s, dx, dw, dy, x, w, rstd, op::Into::accumulate);
      });
}

BandwidthRow layer_norm_row(Tensors& t, std::size_t elements) {
  const std::size_t N = elements / norm_width;
  return row("layer_norm", t, N * norm_width, {.moved = 2},
             [&s = t.stream(), x = t.activation({N, norm_width}), y = t.activation({N, norm_width}),
              w = t.f32({norm_width}), b = t.f32({norm_width}),
              saved = op::LayerNormSaved{t.f32({N}), t.f32({N})}]() mutable {
               op::layer_norm(s, y, saved, x, w, b, 1e-5f);
             });
}

BandwidthRow layer_norm_backward_row(Tensors& t, std::size_t elements) {
  const std::size_t N = elements / norm_width;
  const Shape shape{N, norm_width};
  return row(
      "layer_norm_backward, added", t, N * norm_width, {.moved = 5},
      [&s = t.stream(), x = t.activation(shape), dy = t.activation(shape), dx = t.activation(shape),
       w = t.f32({norm_width}), b = t.f32({norm_width}), dw = t.f32({norm_width}),
       db = t.f32({norm_width}), saved = op::LayerNormSaved{t.f32({N}), t.f32({N})}]() mutable {
        op::layer_norm_backward(s, dx, {dw, db}, dy, {x, w, b}, saved, op::Into::accumulate);
      });
}

BandwidthRow gelu_row(Tensors& t, std::size_t elements) {
  return row("gelu", t, elements, {.moved = 2, .only_written = 1},
             [&s = t.stream(), x = t.activation({elements}),
              y = t.activation({elements})]() mutable { op::gelu(s, y, x, op::Gelu::tanh); });
}

BandwidthRow gelu_backward_row(Tensors& t, std::size_t elements) {
  return row(
      "gelu_backward", t, elements, {.moved = 4},
      [&s = t.stream(), x = t.activation({elements}), dy = t.activation({elements})]() mutable {
        op::gelu_backward(s, x, dy, op::Gelu::tanh);
      });
}

BandwidthRow swiglu_row(Tensors& t, std::size_t elements) {
  const std::size_t N = elements / mlp_width;
  return row("swiglu", t, N * mlp_width, {.moved = 3, .only_written = 1},
             [&s = t.stream(), x = t.activation({N, 2 * mlp_width}),
              y = t.activation({N, mlp_width})]() mutable { op::swiglu(s, y, x); });
}

BandwidthRow swiglu_backward_row(Tensors& t, std::size_t elements) {
  const std::size_t N = elements / mlp_width;
  return row("swiglu_backward", t, N * mlp_width, {.moved = 6},
             [&s = t.stream(), x = t.activation({N, 2 * mlp_width}),
              dy = t.activation({N, mlp_width})]() mutable { op::swiglu_backward(s, x, dy); });
}

BandwidthRow rope_row(Tensors& t, std::size_t elements) {
  op::AttentionShape shape = rope_shape;
  const std::size_t rotated = (shape.H + shape.G) * shape.D;
  const std::size_t columns = rotated + shape.G * shape.D;
  shape.B = std::max<std::size_t>(1, elements / columns / shape.T);
  const std::size_t N = shape.B * shape.T;
  return row("rope", t, N * rotated, {.moved = 2},
             [&s = t.stream(), qkv = t.activation({N, columns}),
              table = op::rope_table(t.stream(), shape.T, shape.D, 1e4),
              shape]() mutable { op::rope(s, qkv, table, shape); });
}

/// A kernel of the loss over rows of logits; that of the backward takes a scale, here none.
template <class Kernel>
Kernel rows_kernel(Tensor& loss, Tensor& logits, const Tensor& targets) {
  constexpr auto V = static_cast<std::uint32_t>(vocab);
  if constexpr (requires(Kernel kernel) { kernel.loss_scale; }) {
    return {.loss = loss,
            .logits = logits,
            .targets = targets,
            .loss_scale = nullptr,
            .V = V,
            .ignored = op::ignored_target};
  } else {
    return {
        .loss = loss, .logits = logits, .targets = targets, .V = V, .ignored = op::ignored_target};
  }
}

/// The rows of logits between two products of linear_cross_entropy; a chunk of them is no op.
template <class Cpu, class Gpu>
BandwidthRow cross_entropy_row(std::string name, Tensors& t, std::size_t elements,
                               const Streams& streams) {
  const std::size_t N = std::max<std::size_t>(1, elements / vocab);
  return row(std::move(name), t, N * vocab, streams,
             [&s = t.stream(), logits = t.activation({N, vocab}), loss = t.f32({N}),
              targets = t.stream().device().zeros({N}, Dtype::i32)]() mutable {
               const std::size_t rows = loss.dim(0);
               if (s.device().family() == KernelFamily::cpu) {
                 launch(s, {.groups = {rows, 1, 1}}, rows_kernel<Cpu>(loss, logits, targets));
               } else {
                 launch(s, {.groups = {rows, 1, 1}, .local = {cross_entropy_gpu_group, 1, 1}},
                        rows_kernel<Gpu>(loss, logits, targets));
               }
             });
}

BandwidthRow cross_entropy_forward_row(Tensors& t, std::size_t elements) {
  return cross_entropy_row<k::cross_entropy_fwd_cpu, k::cross_entropy_fwd_gpu>(
      "cross-entropy", t, elements, {.moved = 1, .only_reads = true});
}

BandwidthRow cross_entropy_backward_row(Tensors& t, std::size_t elements) {
  return cross_entropy_row<k::cross_entropy_bwd_cpu, k::cross_entropy_bwd_gpu>(
      "cross-entropy with gradient", t, elements, {.moved = 2});
}

}  // namespace

std::vector<BandwidthRowMaker> bandwidth_rows(std::size_t elements) {
  using Make = BandwidthRow (*)(Tensors&, std::size_t);
  std::vector<BandwidthRowMaker> makers;
  const auto add = [&](Dtype dtype, Make make) {
    makers.push_back([=](Device& device) {
      Tensors tensors(device, dtype);
      return make(tensors, elements);
    });
  };
  // Those of parameters and their gradients.
  for (const Make make : {sum_row, squares_row, pack_row, adamw_row, lion_row})
    add(Dtype::f32, make);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    for (const Make make :
         {add_row, column_sum_row, rms_norm_row, rms_norm_backward_row, layer_norm_row,
          layer_norm_backward_row, gelu_row, gelu_backward_row, swiglu_row, swiglu_backward_row,
          rope_row, cross_entropy_forward_row, cross_entropy_backward_row})
      add(dtype, make);
  }
  return makers;
}

}  // namespace motley::bench
