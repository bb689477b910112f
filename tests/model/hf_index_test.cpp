#include "model/hf_index.h"

#include <gtest/gtest.h>

#include "tests/model/hf_directory.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

TEST(HfIndex, OpensTheFilesItNames) {
  const ScratchDirectory scratch;
  test::hf_llama().write_sharded(scratch.path());
  const auto files = HfIndex::read(scratch.path()).open_files();
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path(), scratch / "a.safetensors");
  EXPECT_EQ(files[1].path(), scratch / "b.safetensors");
}

constexpr const char* index_name = "model.safetensors.index.json";

/// Writes a sharded directory whose index was changed.
template <class Change>
void write_with_index(const ScratchDirectory& scratch, const Change& change) {
  test::hf_llama().write_sharded(scratch.path());
  nlohmann::json index = nlohmann::json::parse(io::read_text(scratch / index_name));
  change(index["weight_map"]);
  scratch.write(index_name, index.dump());
}

TEST(HfIndex, CannotLeadOutOfTheDirectory) {
  for (const std::string name :
       {"../a.safetensors", "/tmp/a.safetensors", "x/a.safetensors", "..", "", ".a.safetensors"}) {
    const ScratchDirectory scratch;
    write_with_index(scratch, [&](nlohmann::json& map) { map["lm_head.weight"] = name; });
    test::expect_refused(scratch, {index_name, "lm_head.weight", "the name of a file"});
  }
}

TEST(HfIndex, MustNameSafetensorsFiles) {
  const ScratchDirectory scratch;
  write_with_index(scratch, [](nlohmann::json& map) { map["lm_head.weight"] = "b.bin"; });
  test::expect_refused(scratch, {index_name, "lm_head.weight"});
}

TEST(HfIndex, MustListExactlyWhatTheFilesHold) {
  const ScratchDirectory moved;
  write_with_index(moved, [](nlohmann::json& map) { map["lm_head.weight"] = "a.safetensors"; });
  test::expect_refused(moved, {"a.safetensors", "lm_head.weight", "missing", index_name});
  const ScratchDirectory unlisted;
  write_with_index(unlisted, [](nlohmann::json& map) { map.erase("lm_head.weight"); });
  test::expect_refused(unlisted, {"b.safetensors", "lm_head.weight", index_name});
}

TEST(HfIndex, NamesAMissingFile) {
  const ScratchDirectory scratch;
  test::hf_llama().write_sharded(scratch.path());
  io::remove_all(scratch / "b.safetensors");
  test::expect_refused(scratch, {"b.safetensors is missing", index_name});
}

TEST(HfIndex, RefusesDamagedText) {
  const ScratchDirectory scratch;
  test::hf_llama().write_sharded(scratch.path());
  for (const char* text :
       {"", "{}", "{\"weight_map\": {}}", "{\"weight_map\": []}", "{\"weight_map\": {\"a\": 1}}",
        "{\"weight_map\": {\"a\": \"a.safetensors\", \"a\": \"b.safetensors\"}}"}) {
    scratch.write(index_name, text);
    test::expect_refused(scratch, {index_name});
  }
}

}  // namespace
}  // namespace motley
