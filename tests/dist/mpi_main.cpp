#include "mpi_main.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "dist/job.h"

namespace motley {
namespace {

Communicator* the_world = nullptr;

/// Prints failures of any rank, successes of rank 0 alone.
class RankPrinter final : public testing::EmptyTestEventListener {
 public:
  explicit RankPrinter(const Communicator& comm) : comm_(comm) {}

  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "[%s of %d] %s:%d\n%s\n", comm_.name().c_str(), comm_.size(),
                 result.file_name() != nullptr ? result.file_name() : "(no file)",
                 result.line_number(), result.message());
  }
  void OnTestEnd(const testing::TestInfo& test) override {
    const char* name = test.name();
    if (test.result()->Failed()) {
      std::fprintf(stderr, "[ FAILED ] %s.%s on %s\n", test.test_suite_name(), name,
                   comm_.name().c_str());
      abort_job(1);
    }
    if (comm_.rank() == 0) std::printf("[ OK ] %s.%s\n", test.test_suite_name(), name);
  }

 private:
  const Communicator& comm_;
};

int run_tests(Communicator& comm) {
  the_world = &comm;
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  const std::unique_ptr<testing::TestEventListener> unused(
      listeners.Release(listeners.default_result_printer()));
  listeners.Append(new RankPrinter(comm));  // GoogleTest deletes it
  return RUN_ALL_TESTS();
}

void report(const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
}

}  // namespace

Communicator& world() {
  return *the_world;
}

}  // namespace motley

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return motley::run_job(motley::run_tests, motley::report);
}
