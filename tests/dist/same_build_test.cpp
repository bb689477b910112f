#include "dist/same_build.h"

#include <gtest/gtest.h>

#include "dist/thread_comm.h"
#include "tensor/error.h"

namespace motley {
namespace {

TEST(DescribeBuild, NamesVersionAndProgram) {
  const std::string text = describe_build("1.2.3");
  EXPECT_EQ(text.rfind("version 1.2.3\nprogram ", 0), 0u) << text;
  EXPECT_EQ(text, describe_build("1.2.3"));
  EXPECT_NE(text, describe_build("1.2.4"));
}

TEST(SameBuildOnAll, AcceptsOneBuild) {
  run_ranks(3, [](Communicator& comm) { same_build_on_all(comm, "1.0"); });
}

TEST(SameBuildOnAll, NamesTheRankThatDiffers) {
  run_ranks(3, [](Communicator& comm) {
    try {
      same_build_on_all(comm, comm.rank() == 1 ? "1.1" : "1.0");
      ADD_FAILURE() << "rank " << comm.rank() << " saw no difference";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "rank.mismatch");
      EXPECT_EQ(error.exit_code(), ExitCode::environment);
      const std::string text = error.what();
      EXPECT_NE(text.find("rank 1"), std::string::npos) << text;
      EXPECT_NE(text.find("version 1.1"), std::string::npos) << text;
    }
  });
}

}  // namespace
}  // namespace motley
