// GPT-2's pre-split: cuts a text into words with their leading space, numbers, runs of signs and
// runs of blanks. Byte-pair merges never reach across a cut.
#pragma once

#include <memory>
#include <string_view>

namespace motley {

/// The compiled pattern. Immutable: threads may share one.
class PreSplit {
 public:
  /// Throws EnvironmentError when the PCRE2 library lacks Unicode.
  PreSplit();
  /// The process's pattern, compiled once.
  static const PreSplit& shared();

 private:
  friend class Pieces;
  struct Free {
    void operator()(void* code) const;
  };
  std::unique_ptr<void, Free> code_;
};

/// The pieces of one text in order; joined they are the text. Text need not be UTF-8: a longest run
/// of bytes that are not is a piece of its own. Takes time linear in the text.
class Pieces {
 public:
  /// `text` must outlive this.
  explicit Pieces(std::string_view text, const PreSplit& split = PreSplit::shared());

  /// The next piece; empty at the end.
  std::string_view next();

 private:
  std::string_view take(std::size_t length);
  std::size_t invalid_run() const;
  std::size_t match() const;

  struct Free {
    void operator()(void* match) const;
  };
  const PreSplit& split_;
  std::string_view rest_;
  std::size_t valid_ = 0;  // so many bytes of rest_ are known to be valid UTF-8
  std::unique_ptr<void, Free> match_;
};

}  // namespace motley
