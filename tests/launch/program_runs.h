// What tests of whole runs have in common: a data set of real text, and reading what a run left.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tensor/io.h"
#include "tests/launch/outcome.h"

namespace motley::test {

inline void expect_ok(const std::string& command) {
  const Outcome outcome = run_command(command);
  ASSERT_EQ(outcome.exit_code, 0) << command << '\n' << outcome.text;
}

/// Makes folder/tok.json of `vocab` tokens and folder/data of the GPL, which every Debian system
/// has. `program` is motley.
inline void make_data(const std::string& program, const io::Path& folder, int vocab) {
  const std::string text = "/usr/share/common-licenses/GPL-3";
  const std::string tokenizer = (folder / "tok.json").string();
  expect_ok(program + " tokenizer train --vocab " + std::to_string(vocab) + " -o " + tokenizer +
            " " + text);
  expect_ok(program + " data prepare --tokenizer " + tokenizer + " --val 10% -o " +
            (folder / "data").string() + " " + text);
}

/// The "loss" of every line of a kind in a run's metrics.jsonl.
inline std::vector<double> losses(const io::Path& run, const std::string& kind) {
  std::vector<double> values;
  std::istringstream lines(io::read_text(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line);
    if (record["kind"] == kind) values.push_back(record["loss"].get<double>());
  }
  return values;
}

}  // namespace motley::test
