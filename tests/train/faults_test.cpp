#include "train/faults.h"

#include <gtest/gtest.h>

#include <string>

#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

TEST(Faults, AreReadFromText) {
  EXPECT_TRUE(parse_faults("").empty());
  const std::vector<Fault> faults =
      parse_faults("0:1:kill,1:20:stop,2:3:nan,11:4:slow=2.5x,0:5:drop-link,1:6:flip-bit");
  const std::vector<Fault> expected{{.rank = 0, .step = 1, .kind = FaultKind::kill},
                                    {.rank = 1, .step = 20, .kind = FaultKind::stop},
                                    {.rank = 2, .step = 3, .kind = FaultKind::nan},
                                    {.rank = 11, .step = 4, .kind = FaultKind::slow, .factor = 2.5},
                                    {.rank = 0, .step = 5, .kind = FaultKind::drop_link},
                                    {.rank = 1, .step = 6, .kind = FaultKind::flip_bit}};
  EXPECT_EQ(faults, expected);
}

TEST(Faults, RefuseWhatTheyAreNot) {
  for (const char* text :
       {"kill", "1:kill", "1:2:", "1:2:crash", "-1:2:kill", "1:0:kill", "1:2:kill ", "x:2:kill",
        "1:2:slow", "1:2:slow=3", "1:2:slow=0.5x", "1:2:slow=nanx", "1:2:slow=1e9x", "1:2:kill=3x",
        "1:2:kill,", "1:2:kill,,1:3:nan", ",1:2:kill", "99999999999:1:kill", "1:2:kill:4"}) {
    const std::string message = message_of<ConfigError>([&] { parse_faults(text); });
    EXPECT_NE(message.find("RANK:STEP:FAULT"), std::string::npos) << text << ": " << message;
  }
}

TEST(Faults, NameRanksOfTheJob) {
  EXPECT_NO_THROW(check_faults(parse_faults("2:1:kill"), 3));
  const std::string message =
      message_of<ConfigError>([] { check_faults(parse_faults("3:1:kill"), 3); });
  EXPECT_NE(message.find("rank 3"), std::string::npos) << message;
  EXPECT_NE(message.find("0 to 2"), std::string::npos) << message;
}

}  // namespace
}  // namespace motley
