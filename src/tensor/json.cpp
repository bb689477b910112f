#include "tensor/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "tensor/error.h"

namespace motley::json {
namespace {

using Tree = nlohmann::json;

[[noreturn]] void fail_as(Kind kind, const std::string& message) {
  switch (kind) {
    case Kind::config:
      throw ConfigError("config.json", message);
    case Kind::data:
      throw DataError("data.json", message);
    case Kind::checkpoint:
      throw CheckpointError("ckpt.json", message);
  }
  throw DataError("data.json", message);
}

constexpr std::size_t longest_print = 160;

/// The start of a text that may be long: messages stay readable.
std::string shortened(std::string text) {
  if (text.size() <= longest_print) return text;
  text.resize(longest_print);
  return text + "...";
}

/// Any value as JSON. Invalid UTF-8 cannot throw here: it is replaced.
std::string printed(const Tree& value) {
  return shortened(value.dump(-1, ' ', true, Tree::error_handler_t::replace));
}

std::string member_place(const std::string& place, std::string_view key) {
  const bool plain = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (!plain) return place + '[' + printed(Tree(key)) + ']';
  return place.empty() ? std::string(key) : place + '.' + std::string(key);
}

std::string element_place(const std::string& place, std::size_t index) {
  return fmt::format("{}[{}]", place, index);
}

/// Builds the tree from the parser's events. nlohmann's own builder keeps the last of several equal
/// keys and nests without limit; this one refuses both.
class Builder {
 public:
  Builder(Tree& root, std::string_view name, Kind kind, std::size_t max_depth)
      : root_(root), name_(name), kind_(kind), max_depth_(max_depth) {}

  bool null() { return put(nullptr), true; }
  bool boolean(bool value) { return put(value), true; }
  bool number_integer(std::int64_t value) { return put(value), true; }
  bool number_unsigned(std::uint64_t value) { return put(value), true; }
  bool number_float(double value, const std::string&) { return put(value), true; }
  bool string(std::string& value) { return put(std::move(value)), true; }
  bool binary(Tree::binary_t&) { return false; }  // JSON text has none
  bool start_object(std::size_t) { return open(Tree::object()); }
  bool start_array(std::size_t) { return open(Tree::array()); }
  bool end_object() { return open_.pop_back(), true; }
  bool end_array() { return open_.pop_back(), true; }

  bool key(std::string& name) {
    auto& members = open_.back()->get_ref<Tree::object_t&>();
    const auto [member, is_new] = members.try_emplace(name, nullptr);
    if (!is_new) {
      refuse(fmt::format("{} appears twice; keep one of the two", member_place(place(), name)));
    }
    member_ = member;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    std::string text =
        error.what();  // "[json.exception.parse_error.101] parse error at line 1, ..."
    const std::size_t prefix = text.find("] ");
    if (prefix != std::string::npos) text.erase(0, prefix + 2);
    // What it read last can be anything up to the whole file.
    if (text.size() > longest_print) text.erase(std::min(text.find("; last read"), text.size()));
    refuse(fmt::format("is not valid JSON: {}", shortened(std::move(text))));
  }

 private:
  template <class T>
  Tree* put(T&& value) {
    if (open_.empty()) return &(root_ = std::forward<T>(value));
    Tree& parent = *open_.back();
    if (parent.is_object()) return &(member_->second = std::forward<T>(value));
    return &parent.emplace_back(std::forward<T>(value));
  }

  bool open(Tree container) {
    if (open_.size() == max_depth_) {
      refuse(fmt::format("is nested more than {} levels deep", max_depth_));
    }
    open_.push_back(put(std::move(container)));
    return true;
  }

  /// Where the innermost open container is. Only errors need it, so that it is looked for, not
  /// kept: the child that is still open is the last element of an array, but can be any member of
  /// an object.
  std::string place() const {
    std::string place;
    for (std::size_t i = 0; i + 1 < open_.size(); ++i) {
      if (open_[i]->is_array()) {
        place = element_place(place, open_[i]->size() - 1);
        continue;
      }
      for (const auto& [key, child] : open_[i]->items()) {
        if (&child == open_[i + 1]) place = member_place(place, key);
      }
    }
    return place;
  }

  [[noreturn]] void refuse(const std::string& reason) const {
    fail_as(kind_, fmt::format("{}: {}", name_, reason));
  }

  Tree& root_;
  std::string_view name_;
  Kind kind_;
  std::size_t max_depth_;
  std::vector<Tree*>
      open_;  // containers from the root inwards; stable, since only the last one grows
  Tree::object_t::iterator member_;
};

void require_size(std::uint64_t size, const std::string& name, Kind kind, const Limits& limits) {
  if (size <= limits.max_bytes) return;
  fail_as(kind,
          fmt::format("{}: has {} bytes; at most {} are accepted", name, size, limits.max_bytes));
}

}  // namespace

/// Made once and shared by all values in it.
struct Value::Document {
  Document(std::string its_name, Kind its_kind) : name(std::move(its_name)), kind(its_kind) {}
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;

  std::string name;
  Kind kind;
  Tree root;
};

Value::Value(std::shared_ptr<const Document> document, const Tree* value, std::string place)
    : document_(std::move(document)), value_(value), place_(std::move(place)) {}

void Value::refuse(std::string_view reason) const {
  fail_as(document_->kind, fmt::format("{}: {} {}", document_->name,
                                       place_.empty() ? "the document" : place_, reason));
}

void Value::expected(std::string_view what) const {
  refuse(fmt::format("is {}; {} is needed", printed(*value_), what));
}

void Value::require_object() const {
  if (!value_->is_object()) expected("an object");
}

bool Value::is_null() const {
  return value_->is_null();
}
bool Value::is_bool() const {
  return value_->is_boolean();
}
bool Value::is_number() const {
  return value_->is_number();
}
bool Value::is_string() const {
  return value_->is_string();
}
bool Value::is_array() const {
  return value_->is_array();
}
bool Value::is_object() const {
  return value_->is_object();
}

Value Value::get(std::string_view key) const {
  require_object();
  const auto member = value_->find(key);
  if (member == value_->end()) refuse(fmt::format("lacks the member {}", printed(Tree(key))));
  return {document_, &*member, member_place(place_, key)};
}

std::optional<Value> Value::find(std::string_view key) const {
  require_object();
  const auto member = value_->find(key);
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return Value(document_, &*member, member_place(place_, key));
}

std::vector<std::string> Value::keys() const {
  require_object();
  std::vector<std::string> names;
  names.reserve(value_->size());
  for (const auto& [key, child] : value_->items()) names.push_back(key);
  return names;
}

std::size_t Value::length() const {
  if (!value_->is_array()) expected("an array");
  return value_->size();
}

Value Value::at(std::size_t index) const {
  const std::size_t count = length();
  if (index >= count)
    refuse(fmt::format("has {} elements; at least {} are needed", count, index + 1));
  return {document_, &(*value_)[index], element_place(place_, index)};
}

const std::string& Value::as_string() const {
  if (!value_->is_string()) expected("a string");
  return value_->get_ref<const std::string&>();
}

const std::string& Value::as_file_name() const {
  const std::string& name = as_string();
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
  if (name.empty() || !plain || name.front() == '.') {
    expected("the name of a file in the same directory (letters, digits, '.', '_', '-')");
  }
  return name;
}

bool Value::as_bool() const {
  if (!value_->is_boolean()) expected("true or false");
  return value_->get<bool>();
}

double Value::as_double() const {
  if (!value_->is_number()) expected("a number");
  return value_->get<double>();
}

float Value::as_float() const {
  const double number = as_double();
  if (std::abs(number) > double{std::numeric_limits<float>::max()}) {
    expected("a number within a float's range");
  }
  return static_cast<float>(number);
}

std::size_t Value::as_size(std::size_t min, std::size_t max) const {
  // The parser calls every integer without a minus sign unsigned.
  if (value_->is_number_unsigned()) {
    const auto number = value_->get<std::uint64_t>();
    if (number >= min && number <= max) return number;
  }
  expected(fmt::format("an integer from {} to {}", min, max));
}

std::int64_t Value::as_int(std::int64_t min, std::int64_t max) const {
  const bool fits =
      value_->is_number_integer() &&
      (!value_->is_number_unsigned() || std::in_range<std::int64_t>(value_->get<std::uint64_t>()));
  if (fits) {
    const auto number = value_->get<std::int64_t>();
    if (number >= min && number <= max) return number;
  }
  expected(fmt::format("an integer from {} to {}", min, max));
}

Value parse(std::string_view text, std::string name, Kind kind, const Limits& limits) {
  require_size(text.size(), name, kind, limits);
  // The parser takes a zero byte for the end of the text and would not look at what follows.
  const std::size_t zero = text.find('\0');
  if (zero != std::string_view::npos) {
    fail_as(kind, fmt::format("{}: is not valid JSON: byte {} is zero", name, zero));
  }
  auto document = std::make_shared<Value::Document>(std::move(name), kind);
  Builder builder(document->root, document->name, kind, limits.max_depth);
  Tree::sax_parse(text.begin(), text.end(), &builder);
  const Tree* root = &document->root;
  return {std::move(document), root, ""};
}

Value read(const io::Path& path, Kind kind, const Limits& limits) {
  require_size(io::File::open(path).size(), path.string(), kind, limits);
  return parse(io::read_text(path, limits.max_bytes), path.string(), kind, limits);
}

}  // namespace motley::json
