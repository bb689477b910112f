// Runs of a tiny model on the hosts of a test bed (launch/testbed/cluster.sh), on the first of
// which a test runs.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/launch/program_runs.h"
#include "tests/scratch_directory.h"

namespace motley::test {

/// A data set of real text, the GPL that every Debian system has, in the hosts' shared file system.
class ClusterRun : public testing::Test {
 protected:
  void SetUp() override { make_data(MOTLEY_PROGRAM, scratch_.path(), 400); }

  static std::string program() { return MOTLEY_PROGRAM " "; }
  std::string at(const std::string& name) const { return (scratch_ / name).string(); }

  /// A small Llama over T = 32, eight leaves of two sequences a step, every step on the console.
  std::string train(const std::string& run, const std::string& more) const {
    return program() + train_arguments(run, more);
  }
  std::string train_arguments(const std::string& run, const std::string& more) const {
    return "train --model.layers 2 --model.width 48 --model.heads 4 --model.kv_heads 2"
           " --model.mlp_width 96 --model.context 32 --train.micro_batch 2"
           " --train.global_batch 512 --train.log_every 0 --optim.lr 1e-2"
           " --optim.schedule constant --data.path " +
           at("data") + " --train.run " + at(run) + " " + more;
  }

  ScratchDirectory scratch_;
};

}  // namespace motley::test
