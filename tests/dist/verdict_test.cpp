#include "dist/verdict.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace motley {
namespace {

const StallLimits limits{.step = 10};  // so that 3 s are silence
constexpr double long_ago = 12;        // beyond the limit

/// A rank whose step has lasted too long.
RankView stuck(int rank, std::uint64_t step, Phase phase) {
  RankView view{.rank = rank, .name = "rank " + std::to_string(rank) + " on n"};
  view.name += std::to_string(rank);
  view.status.step = step;
  view.status.phase = phase;
  view.status.stretch_seconds = long_ago;
  view.status.num_steps = 6;
  return view;
}

/// The same in an operation.
RankView waits(int rank, std::uint64_t step, const std::string& operation, int bucket,
               int peer = -1) {
  RankView view = stuck(rank, step, Phase::reduce);
  std::copy(operation.begin(), operation.end(), view.status.operation.begin());
  view.status.bucket = bucket;
  view.status.peer = peer;
  return view;
}

/// The same, heard of last `age` seconds ago, early in its step.
RankView silent(RankView view, double age = long_ago) {
  view.age = age;
  view.status.stretch_seconds = 0.5;
  return view;
}

StallVerdict judged(const std::vector<RankView>& views, double link_age = 0) {
  const std::optional<StallVerdict> verdict = judge(views, limits, link_age);
  EXPECT_TRUE(verdict.has_value());
  return verdict.value_or(StallVerdict{});
}

void expect_has(const StallVerdict& verdict, const std::string& part) {
  EXPECT_NE(verdict.text.find(part), std::string::npos) << part << " is not in " << verdict.text;
}

TEST(StallVerdict, NamesTheRankThatIsNotHeardOf) {
  const StallVerdict verdict = judged(
      {waits(0, 7, "reduce", 3), waits(1, 7, "reduce", 3), silent(stuck(2, 7, Phase::compute))});
  EXPECT_EQ(verdict.ranks, std::vector{2});
  EXPECT_EQ(verdict.step, 7u);
  EXPECT_EQ(verdict.text,
            "rank 2 on n2 has not been heard of for 12 s; last seen in step 7, compute; 2 ranks "
            "wait for it in 'reduce bucket 3'");
}

TEST(StallVerdict, NamesASilentRankWhereverItWasSeenLast) {
  // A heartbeat is up to a second old: the rank may have come further than it said.
  const StallVerdict verdict = judged(
      {waits(0, 7, "reduce", 0), waits(1, 7, "reduce", 0), silent(stuck(2, 6, Phase::update))});
  EXPECT_EQ(verdict.ranks, std::vector{2});
  EXPECT_EQ(verdict.step, 7u);
  // Saving has a longer limit; a rank that was heard of last in it does not delay the verdict.
  EXPECT_EQ(judged({waits(0, 7, "reduce", 0), silent(stuck(1, 6, Phase::save))}).ranks,
            std::vector{1});
}

TEST(StallVerdict, NamesAllSilentRanks) {
  const StallVerdict verdict =
      judged({waits(0, 7, "reduce", 3), waits(1, 7, "reduce", 3),
              silent(stuck(2, 7, Phase::compute)), silent(stuck(3, 7, Phase::compute), 9)});
  EXPECT_EQ(verdict.ranks, (std::vector{2, 3}));
  expect_has(verdict, "rank 2 on n2 and rank 3 on n3 have not been heard of for 12 s");
  expect_has(verdict, "2 ranks wait for them");
}

TEST(StallVerdict, BlamesSilenceBeforePosition) {
  const StallVerdict verdict = judged(
      {waits(0, 7, "reduce", 3), stuck(1, 7, Phase::compute), silent(waits(2, 7, "reduce", 3))});
  EXPECT_EQ(verdict.ranks, std::vector{2});
}

TEST(StallVerdict, NamesTheRankFurthestBehind) {
  struct Row {
    const char* what;
    RankView slow;
  };
  for (const Row& row :
       {Row{"step", waits(1, 6, "reduce", 5)}, Row{"phase", stuck(1, 7, Phase::compute)},
        Row{"bucket", waits(1, 7, "reduce", 2)}, Row{"own work", stuck(1, 7, Phase::reduce)}}) {
    const StallVerdict verdict =
        judged({waits(0, 7, "reduce", 3), row.slow, waits(2, 7, "reduce", 3)});
    EXPECT_EQ(verdict.ranks, std::vector{1}) << row.what;
    expect_has(verdict, "rank 1 on n1 is without progress for 12 s in step");
    expect_has(verdict, "2 ranks wait for it in 'reduce bucket 3'");
  }
}

TEST(StallVerdict, NamesRankZeroWhenItIsBehind) {
  const StallVerdict verdict = judged({stuck(0, 7, Phase::compute), waits(1, 7, "reduce", 0)});
  EXPECT_EQ(verdict.ranks, std::vector{0});
  expect_has(verdict, "1 rank waits for it");
}

TEST(StallVerdict, NamesSeveralThatAreBehind) {
  const StallVerdict verdict =
      judged({waits(0, 7, "reduce", 3), stuck(1, 7, Phase::compute), stuck(2, 7, Phase::compute)});
  EXPECT_EQ(verdict.ranks, (std::vector{1, 2}));
}

TEST(StallVerdict, NamesTwoThatWaitForEachOther) {
  const StallVerdict verdict =
      judged({waits(0, 7, "reduce", 3), waits(1, 7, "reduce", 3, 2), waits(2, 7, "reduce", 3, 1)});
  EXPECT_EQ(verdict.ranks, (std::vector{1, 2}));
  expect_has(verdict, "the link between them may be cut");
}

TEST(StallVerdict, NamesNobodyWhenAllAreEqual) {
  const StallVerdict verdict = judged({waits(0, 7, "reduce", 3), waits(1, 7, "reduce", 3)});
  EXPECT_TRUE(verdict.ranks.empty());
  expect_has(verdict, "no rank is behind the others");
}

TEST(StallVerdict, NamesItselfWhenItsOwnThreadStands) {
  const StallVerdict verdict =
      judged({waits(0, 7, "reduce", 3), silent(stuck(1, 7, Phase::compute)),
              silent(stuck(2, 7, Phase::compute))},
             long_ago);
  EXPECT_EQ(verdict.ranks, std::vector{0});
  expect_has(verdict, "its communication thread has not run for 12 s");
}

TEST(StallVerdict, DoubtsItsOwnLinkWhenNobodyIsHeardOf) {
  const StallVerdict verdict =
      judged({waits(0, 7, "reduce", 3), silent(stuck(1, 7, Phase::compute)),
              silent(stuck(2, 7, Phase::compute))});
  EXPECT_EQ(verdict.ranks, std::vector{0});
  expect_has(verdict, "has not heard of any of the 2 other ranks for 12 s: its own link is cut");
}

TEST(StallVerdict, OfTwoRanksNamesTheOther) {
  EXPECT_EQ(judged({waits(0, 7, "reduce", 3), silent(stuck(1, 7, Phase::compute))}).ranks,
            std::vector{1});
}

TEST(StallVerdict, JudgesASingleProcess) {
  const StallVerdict verdict = judged({stuck(0, 7, Phase::compute)});
  EXPECT_EQ(verdict.ranks, std::vector{0});
  EXPECT_EQ(verdict.text, "rank 0 on n0 is without progress for 12 s in step 7, compute");
}

TEST(StallVerdict, WaitsWhileSomebodyMayStillMakeProgress) {
  RankView fresh = stuck(1, 7, Phase::compute);
  fresh.status.stretch_seconds = 9;
  EXPECT_FALSE(judge(std::vector{waits(0, 7, "reduce", 3), fresh}, limits, 0));
  fresh.age = 2;  // the message is old enough that by now it is over
  EXPECT_TRUE(judge(std::vector{waits(0, 7, "reduce", 3), fresh}, limits, 0));
  // Not heard of, but nobody waits for it.
  RankView fine = stuck(0, 7, Phase::compute);
  fine.status.stretch_seconds = 1;
  EXPECT_FALSE(judge(std::vector{fine, silent(stuck(1, 7, Phase::compute))}, limits, 0));
}

TEST(StallVerdict, KnowsTheLimitsOfPhases) {
  for (const Phase phase : {Phase::setup, Phase::evaluate, Phase::sample, Phase::save}) {
    EXPECT_FALSE(judge(std::vector{stuck(0, 7, phase)}, limits, 0)) << name_of(phase);
    RankView late = stuck(0, 7, phase);
    late.status.stretch_seconds = 2000;
    EXPECT_TRUE(judge(std::vector{late}, limits, 0)) << name_of(phase);
  }
  RankView first = stuck(0, 1, Phase::compute);
  first.status.num_steps = 0;
  EXPECT_FALSE(judge(std::vector{first}, limits, 0)) << "the first step compiles kernels";
}

TEST(StallVerdict, OtherRanksLeaveTheDecisionToRankZero) {
  RankView zero = waits(0, 7, "reduce", 3);
  RankView mine = waits(1, 7, "reduce", 3);
  EXPECT_FALSE(judge_alone(mine, zero, limits, 0, 5)) << "rank 0 is heard of";
  mine.status.stretch_seconds = 1e6;
  EXPECT_FALSE(judge_alone(mine, zero, limits, 0, 5)) << "and may know why this takes so long";
  mine.status.stretch_seconds = long_ago;
  zero.age = long_ago;
  EXPECT_FALSE(judge_alone(mine, zero, limits, 0, 5)) << "the limit is passed by 2 s only";
  mine.status.stretch_seconds = 15.5;
  const std::optional<StallVerdict> verdict = judge_alone(mine, zero, limits, 0, 5);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->ranks, std::vector{0});
  EXPECT_EQ(verdict->text,
            "rank 0 on n0 has not been heard of for 12 s; last seen in step 7, reduce, in 'reduce "
            "bucket 3' for 0.0 s; rank 1 on n1 waits in 'reduce bucket 3'");
}

TEST(StallVerdict, OtherRanksNameThemselvesWhenTheirThreadStands) {
  RankView zero = waits(0, 7, "reduce", 3);
  zero.age = long_ago;
  RankView mine = waits(1, 7, "reduce", 3);
  mine.status.stretch_seconds = 20;
  const std::optional<StallVerdict> verdict = judge_alone(mine, zero, limits, 20, 5);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->ranks, std::vector{1});
  EXPECT_EQ(verdict->text.find("rank 1 on n1: its communication thread"), 0u) << verdict->text;
}

TEST(StepLimit, FollowsTheSteps) {
  EXPECT_EQ(step_limit({}, 0, 600), 600) << "nothing is known yet";
  EXPECT_EQ(step_limit(std::vector<double>(4, 1.0), 0, 600), 600) << "four steps are too few";
  EXPECT_EQ(step_limit(std::vector<double>(5, 1.0), 0, 600), 60) << "never below a minute";
  EXPECT_EQ(step_limit(std::vector<double>(5, 20.0), 0, 600), 100);
  std::vector<double> times(100, 20.0);
  times[17] = 500;
  EXPECT_EQ(step_limit(times, 0, 600), 100) << "one of a hundred is no rule";
  times[40] = 30;
  EXPECT_EQ(step_limit(times, 0, 600), 150) << "the second longest of a hundred";
}

TEST(StepLimit, IsWhatTheUserSays) {
  EXPECT_EQ(step_limit({}, 4, 600), 4);
  EXPECT_EQ(step_limit(std::vector<double>(50, 20.0), 4, 600), 4);
}

TEST(StallLimits, CallSilenceAQuarterOfAStep) {
  EXPECT_EQ((StallLimits{.step = 4}).silence(), 3);
  EXPECT_EQ((StallLimits{.step = 20}).silence(), 5);
  EXPECT_EQ((StallLimits{.step = 600}).silence(), 15);
}

}  // namespace
}  // namespace motley
