// How our parameters are called and cut in Hugging Face's files. We keep queries, keys and values
// in one matrix, and gate and up in another; Llama's files have them apart. GPT-2's files have
// matrices as [in, out] (its "Conv1D"), ours are [out, in].
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/params.h"

namespace motley {

enum class Layout { out_in, in_out };

/// One tensor of a file: rows [first_row, first_row + num_rows) of one of our parameters.
struct HfPiece {
  std::string name;
  std::size_t first_row = 0;
  std::size_t num_rows = 0;
  std::size_t num_columns = 0;  // 0: the parameter has one dimension
  Layout layout = Layout::out_in;

  std::size_t size() const { return num_rows * (num_columns == 0 ? 1 : num_columns); }
  /// The shape it has in the file.
  std::vector<std::size_t> file_shape() const;
};

/// The tensors that together are one parameter, in the order of its rows.
std::vector<HfPiece> hf_pieces(const ModelConfig& config, const ParamSpec& spec);

/// Whether a file may hold a tensor that no parameter stands for: causal masks, rotary frequencies
/// and a head that only repeats the tied embedding.
bool is_ignorable_hf_tensor(const ModelConfig& config, const std::string& name);

}  // namespace motley
