// How our parameters are called and cut in Hugging Face's files. We keep queries, keys and values
// in one matrix, and gate and up in another; Llama's files have them apart. GPT-2's files have
// matrices as [in, out] (its "Conv1D"), ours are [out, in].
#pragma once

#include <cstddef>
#include <span>
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

  std::size_t row_size() const { return num_columns == 0 ? 1 : num_columns; }
  std::size_t size() const { return num_rows * row_size(); }
  /// The shape it has in the file.
  std::vector<std::size_t> file_shape() const;
  /// Its part of the parameter's values.
  template <class T>
  std::span<T> rows_of(std::span<T> values) const {
    return values.subspan(first_row * row_size(), size());
  }
};

/// The tensors that together are one parameter, in the order of its rows.
std::vector<HfPiece> hf_pieces(const ModelConfig& config, const ParamSpec& spec);

/// The head's name in all families. With tied embeddings a file may repeat them under it.
inline constexpr const char* hf_head = "lm_head.weight";

/// Whether a file may hold a tensor that no parameter stands for: causal masks, rotary frequencies
/// and the head of a model with tied embeddings.
bool is_ignorable_hf_tensor(const ModelConfig& config, const std::string& name);

/// out[c, r] = in[r, c]. in: [rows, columns].
void transpose(std::span<float> out, std::span<const float> in, std::size_t rows,
               std::size_t columns);

}  // namespace motley
