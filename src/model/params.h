// Everything known about a model's parameters, and where they and their gradients live on a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "tensor/device.h"
#include "tensor/tensor.h"

namespace motley {

/// How a parameter starts.
enum class Init { zeros, ones, normal };
/// Whether weight decay applies: to matrices, not to biases and norm weights.
enum class Decay { no, yes };

/// All that is known about one parameter, in one row.
struct ParamSpec {
  std::string name;  // "layers.3.attn.qkv.weight"
  Shape shape;       // matrices are [out, in]
  Init init = Init::zeros;
  float stddev = 0;  // for Init::normal
  Decay decay = Decay::no;
  int layer = -1;  // -1: outside the blocks
  /// When backward has finished its gradient: 0 after the head, then a stage a block from the last
  /// to the first, then the embeddings.
  std::size_t stage = 0;
};

/// The parameters of a model, in backward order: by stage.
std::vector<ParamSpec> parameter_specs(const ModelConfig& config);

/// Where parameters lie. All of them, in backward order, make one row of elements, cut into
/// *blocks* (one buffer of values and one of gradients each) and these into *buckets*, which are
/// reduced, updated and gathered one after another. A block ends where a stage ends; one that is
/// large, such as an embedding's, holds several buckets, which are ready at once. Blocks and
/// buckets start at multiples of op::squares_chunk; padding is zero and stays zero.
struct ParamLayout {
  struct Block {
    std::size_t begin = 0;  // in elements of the row
    std::size_t end = 0;
  };
  struct Bucket {
    std::size_t block = 0;
    std::size_t begin = 0;  // in elements of the row
    std::size_t end = 0;
    std::size_t first_stage = 0;  // the stages whose parameters it holds
    std::size_t last_stage = 0;   // after which its gradients are complete
  };
  std::vector<ParamSpec> specs;
  std::vector<std::size_t> offsets;  // of each parameter, in elements of the row
  std::vector<Block> blocks;
  std::vector<Bucket> buckets;
  std::size_t size = 0;  // of the row
};

ParamLayout param_layout(const ModelConfig& config);

/// One parameter and where in the row it starts.
struct Param {
  ParamSpec spec;
  std::size_t offset = 0;
  std::size_t block = 0;
  Tensor value;     // of the store's dtype
  Tensor gradient;  // f32
  /// What a model computes with: the value; of a vector, such as a bias, an f32 copy, since sums
  /// are f32 and vectors are small. See ParamStore::widen.
  Tensor operand;
};

/// A bucket's memory. Several may lie in one buffer.
struct ParamBucket {
  Tensor values;          // [end - begin]
  Tensor gradients;       // the same
  std::size_t begin = 0;  // in elements of the row
  std::size_t end = 0;
  std::size_t first_stage = 0;
  std::size_t last_stage = 0;
};

/// One tensor a block, of its size.
struct ParamMemory {
  std::vector<Tensor> values;
  std::vector<Tensor> gradients;
};

/// The parameters and gradients of one model on one device. Values are f32 or bf16, gradients f32.
class ParamStore {
 public:
  /// Allocates; values and gradients are zero.
  ParamStore(Device& device, const ModelConfig& config, Dtype dtype = Dtype::f32);
  /// Uses memory that others see as well; sets it to zero.
  ParamStore(Device& device, const ModelConfig& config, ParamMemory memory);

  /// Of values.
  Dtype dtype() const { return memory_.values.front().dtype(); }
  const ParamLayout& layout() const { return layout_; }
  const std::vector<Param>& params() const { return params_; }
  /// The values of a block, [end - begin].
  Tensor& block_values(std::size_t block) { return memory_.values.at(block); }
  std::vector<ParamBucket>& buckets() { return buckets_; }
  const std::vector<ParamBucket>& buckets() const { return buckets_; }
  /// The parameter of a name. Throws ConfigError when there is none.
  Param& at(std::string_view name);

  /// Sets every value by its spec; the same bits for the same seed on the same kind of device.
  void initialize(Stream& s, std::uint64_t seed);
  /// What a block's values start with, [end - begin] f32, 0 between parameters. It may be the
  /// block's own memory.
  void initialize_block(Stream& s, std::size_t block, std::uint64_t seed, Tensor& values) const;
  /// Sets the values of a block, [end - begin]. bf16 is the nearest, ties away from zero: the upper
  /// half of split_f32.
  void set_block(Stream& s, std::size_t block, std::span<const float> values);
  /// Brings the operands of a stage's vectors up to date with their values.
  void widen(Stream& s, std::size_t stage) const;
  void zero_gradients(Stream& s);
  /// The number of trainable values, padding not counted.
  std::size_t size() const;

 private:
  void add_vectors(Device& device);

  ParamLayout layout_;
  ParamMemory memory_;
  Tensor vectors_;  // the operands of vectors, where values are not f32
  std::vector<Param> params_;
  std::vector<ParamBucket> buckets_;
};

}  // namespace motley
