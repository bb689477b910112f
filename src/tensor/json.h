// Strict reading of JSON files: duplicate keys, trailing text, deep nesting and oversized files are
// refused, and every error names the file and the place in it. Writing needs no help:
// nlohmann::ordered_json does it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io.h"

namespace motley::json {

/// What a document is to its user. Errors in it are ConfigError, DataError or CheckpointError.
enum class Kind { config, data, checkpoint };

/// What a document may be at most.
struct Limits {
  std::size_t max_bytes = 100'000'000;
  std::size_t max_depth = 32;
};

/// A value inside a parsed document, which it keeps alive. All accessors throw the error of the
/// document's kind when the value is not what they return; the message names the document, the
/// place and the rule.
class Value {
 public:
  bool is_null() const;
  bool is_bool() const;
  bool is_number() const;
  bool is_string() const;
  bool is_array() const;
  bool is_object() const;

  /// The member called `key`, which must exist.
  Value get(std::string_view key) const;
  /// The member called `key`; none when it is absent or null.
  std::optional<Value> find(std::string_view key) const;
  /// The names of all members, sorted.
  std::vector<std::string> keys() const;

  /// The number of elements of an array.
  std::size_t length() const;
  /// Element `index` of an array, which must exist.
  Value at(std::size_t index) const;

  const std::string& as_string() const;
  /// A string that names a file within a directory and can lead nowhere else: letters, digits, '_',
  /// '-' and '.', not beginning with '.'. For documents that may come from anyone.
  const std::string& as_file_name() const;
  bool as_bool() const;
  /// Any number, also an integer.
  double as_double() const;
  /// A number within a float's range, rounded to a float.
  float as_float() const;
  /// An integer in [min, max]; 2.0 is not an integer.
  std::size_t as_size(std::size_t min = 0,
                      std::size_t max = std::numeric_limits<std::size_t>::max()) const;
  std::int64_t as_int(std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                      std::int64_t max = std::numeric_limits<std::int64_t>::max()) const;

  /// Throws the error of the document's kind: "FILE: PLACE REASON".
  [[noreturn]] void refuse(std::string_view reason) const;
  /// The underlying value, for code that copies whole subtrees.
  const nlohmann::json& raw() const { return *value_; }

 private:
  struct Document;
  friend Value parse(std::string_view text, std::string name, Kind kind, const Limits& limits);

  Value(std::shared_ptr<const Document> document, const nlohmann::json* value, std::string place);
  [[noreturn]] void expected(std::string_view what) const;
  void require_object() const;

  std::shared_ptr<const Document> document_;
  const nlohmann::json* value_;
  std::string place_;
};

/// Parses one JSON text. `name` is what errors call it, usually its path.
Value parse(std::string_view text, std::string name, Kind kind, const Limits& limits = {});

/// Parses a file. Throws IoError when it cannot be read.
Value read(const io::Path& path, Kind kind, const Limits& limits = {});

}  // namespace motley::json
