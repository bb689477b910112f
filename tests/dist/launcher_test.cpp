#include "dist/launcher.h"

#include <gtest/gtest.h>

#include <map>

#include "tensor/error.h"

namespace motley {
namespace {

Environment with(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> const char* {
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  };
}

TEST(IsUnderMpi, KnowsTheLaunchers) {
  EXPECT_TRUE(is_under_mpi(with({{"OMPI_COMM_WORLD_SIZE", "1"}})));
  EXPECT_TRUE(is_under_mpi(with({{"PMI_RANK", "0"}})));
  EXPECT_TRUE(is_under_mpi(with({{"PMIX_RANK", "0"}})));
  EXPECT_FALSE(is_under_mpi(with({{"HOME", "/root"}})));
  EXPECT_FALSE(is_under_mpi(with({{"SLURM_STEP_NUM_TASKS", "1"}})));
}

TEST(IsUnderMpi, RefusesTasksThatWouldNotFindEachOther) {
  EXPECT_THROW(is_under_mpi(with({{"SLURM_STEP_NUM_TASKS", "4"}})), EnvironmentError);
}

TEST(LaunchedSize, BelievesOpenMpiBeforeTheBatchSystem) {
  EXPECT_EQ(launched_size(with({})), std::nullopt);
  EXPECT_EQ(launched_size(with({{"OMPI_COMM_WORLD_SIZE", "4"}})), 4);
  EXPECT_EQ(launched_size(with({{"OMPI_COMM_WORLD_SIZE", "4"}, {"SLURM_STEP_NUM_TASKS", "2"}})), 4);
  EXPECT_EQ(launched_size(with({{"PMI_SIZE", "3"}})), 3);
  EXPECT_EQ(launched_size(with({{"PMIX_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "8"}})), 8);
  EXPECT_EQ(launched_size(with({{"PMI_SIZE", "many"}})), std::nullopt);
}

TEST(LaunchedRank, BelievesOpenMpiBeforeTheBatchSystem) {
  EXPECT_EQ(launched_rank(with({})), std::nullopt);
  EXPECT_EQ(launched_rank(with({{"OMPI_COMM_WORLD_RANK", "2"}, {"SLURM_PROCID", "0"}})), 2);
  EXPECT_EQ(launched_rank(with({{"PMIX_RANK", "1"}})), 1);
  EXPECT_EQ(launched_rank(with({{"PMI_RANK", "0"}})), 0);
  EXPECT_EQ(launched_rank(with({{"SLURM_PROCID", "3"}})), 3);
  EXPECT_EQ(launched_rank(with({{"SLURM_PROCID", "-1"}})), std::nullopt);
}

TEST(CheckLaunchedSize, RefusesRanksThatDoNotFindEachOther) {
  EXPECT_NO_THROW(check_launched_size(with({}), 1));
  EXPECT_NO_THROW(check_launched_size(with({{"PMI_SIZE", "3"}}), 3));
  EXPECT_THROW(check_launched_size(with({{"PMI_SIZE", "3"}, {"PMI_RANK", "1"}}), 1),
               EnvironmentError);
  EXPECT_THROW(check_launched_size(with({{"OMPI_COMM_WORLD_SIZE", "4"}}), 1), EnvironmentError);
}

TEST(LauncherName, TellsWhoStartedTheRanks) {
  EXPECT_EQ(launcher_name(with({})), "none");
  EXPECT_EQ(launcher_name(with({{"OMPI_COMM_WORLD_SIZE", "2"}})), "mpirun (Open MPI)");
  EXPECT_EQ(launcher_name(with({{"OMPI_COMM_WORLD_SIZE", "2"}, {"SLURM_JOB_ID", "7"}})),
            "mpirun (Open MPI) inside Slurm");
  EXPECT_EQ(launcher_name(with({{"PMIX_RANK", "0"}, {"SLURM_JOB_ID", "7"}})), "srun --mpi=pmix");
}

}  // namespace
}  // namespace motley
