#include "tensor/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using json::Kind;

json::Value parse(std::string_view text) {
  return json::parse(text, "some.json", Kind::data);
}

/// The message of the DataError that `action` throws.
template <class Action>
std::string refusal(const Action& action) {
  try {
    action();
  } catch (const DataError& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

struct BadText {
  const char* text;
  const char* reason;
};

class JsonText : public testing::TestWithParam<BadText> {};

TEST_P(JsonText, IsRefusedWithNameAndReason) {
  const std::string message = refusal([] { parse(GetParam().text); });
  EXPECT_EQ(message.rfind("some.json: ", 0), 0u) << message;
  EXPECT_NE(message.find(GetParam().reason), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Bad, JsonText,
    testing::Values(
        BadText{"", "line 1, column 1"}, BadText{"{", "line 1, column 2"},
        BadText{"{\"a\": 1,\n \"b\": }", "line 2, column 7"}, BadText{"{} {}", "line 1, column 4"},
        BadText{"[1, 2],", "not valid JSON"}, BadText{"{\"a\": 1, \"a\": 1}", "a appears twice"},
        BadText{R"({"x": [0, {"y": {"k": 1, "k": 2}}]})", "x[1].y.k appears twice"},
        BadText{"{\"\\u0061\": 1, \"a\": 2}", "a appears twice"},
        BadText{"[1e999]", "not valid JSON"}, BadText{"[NaN]", "not valid JSON"},
        BadText{"[01]", "not valid JSON"}, BadText{"[1] // one", "not valid JSON"},
        BadText{"{'a': 1}", "not valid JSON"}, BadText{"[\"\xff\"]", "ill-formed UTF-8"},
        BadText{"[\"\n\"]", "not valid JSON"}, BadText{"[\"\\ud800\"]", "not valid JSON"}));

TEST(Json, RefusesAZeroByteWhereverItStands) {
  using namespace std::string_view_literals;
  for (const std::string_view text : {"{}\0"sv, "\0{}"sv, "{}\0 x"sv, "[\"\0\"]"sv}) {
    EXPECT_NE(refusal([&] { parse(text); }).find("is zero"), std::string::npos);
  }
  EXPECT_EQ(parse(R"(["\u0000"])").at(0).as_string(), "\0"sv);
}

TEST(Json, RefusesDeepNesting) {
  const std::string deep = std::string(1000000, '[');
  EXPECT_NE(refusal([&] { parse(deep); }).find("nested more than 32"), std::string::npos);
  const std::string allowed = std::string(32, '[') + std::string(32, ']');
  EXPECT_NO_THROW(parse(allowed));
}

TEST(Json, RefusesOversizedText) {
  EXPECT_THROW(json::parse("[1, 2, 3]", "x", Kind::data, {.max_bytes = 8, .max_depth = 4}),
               DataError);
  EXPECT_NO_THROW(json::parse("[1, 2, 3]", "x", Kind::data, {.max_bytes = 9, .max_depth = 4}));
}

TEST(Json, RefusesFilesAndThrowsTheErrorOfTheirKind) {
  const ScratchDirectory scratch;
  const io::Path path = scratch.path() / "a.json";
  io::write_text_atomically(path, "{\"a\": 12345}");
  EXPECT_EQ(json::read(path, Kind::config).get("a").as_size(), 12345u);
  EXPECT_THROW(json::read(path, Kind::config, {.max_bytes = 3, .max_depth = 4}), ConfigError);
  EXPECT_THROW(json::read(path, Kind::config).get("b"), ConfigError);
  EXPECT_THROW(json::read(path, Kind::data).get("b"), DataError);
  EXPECT_THROW(json::read(path, Kind::checkpoint).get("b"), CheckpointError);
  EXPECT_THROW(json::read(scratch.path() / "none.json", Kind::data), IoError);
}

TEST(Json, ReadsEveryType) {
  const json::Value root =
      parse(R"({"s": "x", "b": true, "d": 2.5, "i": -3, "u": 18446744073709551615, "n": null,)"
            R"( "list": [1, "two"], "empty": {}})");
  EXPECT_EQ(root.get("s").as_string(), "x");
  EXPECT_TRUE(root.get("b").as_bool());
  EXPECT_EQ(root.get("d").as_double(), 2.5);
  EXPECT_EQ(root.get("i").as_double(), -3.0);
  EXPECT_EQ(root.get("i").as_int(), -3);
  EXPECT_EQ(root.get("u").as_size(), 18446744073709551615u);
  EXPECT_TRUE(root.get("n").is_null());
  EXPECT_FALSE(root.find("n").has_value());
  EXPECT_FALSE(root.find("absent").has_value());
  EXPECT_EQ(root.get("list").length(), 2u);
  EXPECT_EQ(root.get("list").at(1).as_string(), "two");
  EXPECT_EQ(root.keys().size(), 8u);
  EXPECT_TRUE(root.get("empty").keys().empty());
}

TEST(Json, ValuesOutliveTheRoot) {
  const json::Value inner = parse(R"({"a": {"b": "still here"}})").get("a");
  EXPECT_EQ(inner.get("b").as_string(), "still here");
}

TEST(Json, NamesThePlaceOfAWrongValue) {
  const json::Value root = parse(R"({"a": {"h.0": [1, -2, 2.0, "x", 99999999999999999999]}})");
  const json::Value list = root.get("a").get("h.0");
  EXPECT_EQ(refusal([&] { list.at(1).as_size(); }),
            "some.json: a[\"h.0\"][1] is -2; an integer from 0 to 18446744073709551615 is needed");
  EXPECT_EQ(refusal([&] { list.at(0).as_size(5, 9); }),
            "some.json: a[\"h.0\"][0] is 1; an integer from 5 to 9 is needed");
  EXPECT_EQ(refusal([&] { list.at(3).as_bool(); }),
            "some.json: a[\"h.0\"][3] is \"x\"; true or false is needed");
  EXPECT_EQ(refusal([&] { root.get("b"); }), "some.json: the document lacks the member \"b\"");
  EXPECT_THROW(list.at(2).as_size(), DataError);
  EXPECT_THROW(list.at(2).as_int(), DataError);
  EXPECT_THROW(list.at(4).as_size(), DataError);
  EXPECT_THROW(list.at(4).as_int(), DataError);
  EXPECT_THROW(list.at(5), DataError);
  EXPECT_THROW(list.get("x"), DataError);
  EXPECT_THROW(list.keys(), DataError);
  EXPECT_THROW(root.at(0), DataError);
  EXPECT_THROW(list.as_string(), DataError);
  EXPECT_THROW(list.at(3).as_double(), DataError);
}

TEST(Json, FileNamesCannotLeaveTheirDirectory) {
  const json::Value good = parse(R"({"a": "model-00001-of-00002.safetensors"})").get("a");
  EXPECT_EQ(good.as_file_name(), "model-00001-of-00002.safetensors");
  for (const char* name : {"", ".", "..", ".hidden", "../up", "/etc/passwd", "a/b", "a\\\\b", "a b",
                           "a\\u0000b", "\xc3\xa4"}) {
    const std::string text = fmt::format("{{\"a\": \"{}\"}}", name);
    EXPECT_THROW(parse(text).get("a").as_file_name(), DataError) << text;
  }
}

TEST(Json, FloatsAreWithinTheirRange) {
  const json::Value list = parse("[0.1, 1e300, -1e39, 3, 1e-60]");
  EXPECT_EQ(list.at(0).as_float(), 0.1f);
  EXPECT_THROW(list.at(1).as_float(), DataError);
  EXPECT_THROW(list.at(2).as_float(), DataError);
  EXPECT_EQ(list.at(3).as_float(), 3.0f);
  EXPECT_EQ(list.at(4).as_float(), 0.0f);
}

TEST(Json, KeepsMessagesShort) {
  const std::string huge = "{\"a\": \"" + std::string(100000, 'x') + "\"}";
  EXPECT_LT(refusal([&] { parse(huge).get("a").as_bool(); }).size(), 400u);
  EXPECT_LT(refusal([&] { parse(std::string(100000, 'x')); }).size(), 400u);
}

}  // namespace
}  // namespace motley
