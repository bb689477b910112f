#include "train/run_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "tensor/error.h"
#include "tensor/log.h"
#include "train/checkpoint_directory.h"
#include "train/settings_toml.h"
#include "train/suggest.h"

namespace motley {
namespace {

/// The full names that train.allow_change lists; keys stand for themselves in their only section.
std::set<std::string> allowed_changes(const std::string& list) {
  std::set<std::string> allowed;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::size_t first = std::min(list.find_first_not_of(' ', begin), end);
    const std::size_t last = list.find_last_not_of(' ', end == 0 ? 0 : end - 1);
    const std::string name = first == end ? "" : list.substr(first, last + 1 - first);
    begin = end + 1;
    const auto rows = settings_table();
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const Setting& r) {
      return r.full_name() == name || r.key == name;
    });
    require<ConfigError>(row != rows.end(), "config.value",
                         "train.allow_change names '{}'\n  no such setting{}", name,
                         suggestion(name, setting_keys("")));
    allowed.insert(row->full_name());
  }
  return allowed;
}

/// The settings that a run's config.toml holds.
Settings read_stored(const io::Path& file) {
  const std::vector<std::string> arguments{file.string()};
  return resolve_settings(arguments).values;
}

}  // namespace

std::vector<std::string> compare_for_resume(const Settings& stored, const Settings& wanted) {
  const std::set<std::string> allowed = allowed_changes(wanted.train.allow_change);
  Settings asked = wanted;
  if (asked.train.global_batch == 0) asked.train.global_batch = stored.train.global_batch;
  std::vector<std::string> notes;
  std::string refused;
  std::string needed;
  for (const Setting& row : settings_table()) {
    const SettingValue before = row.get(stored, row);
    const SettingValue after = row.get(asked, row);
    if (row.on_resume == OnResume::one_call || before == after) continue;
    const std::string name = row.full_name();
    const std::string change =
        fmt::format("{} was {}, now {}", name, format_setting(before), format_setting(after));
    if (row.on_resume == OnResume::identical) {
      refused += fmt::format("\n  {}: cannot change in a resumed run", change);
    } else if (row.on_resume == OnResume::changes_result && allowed.count(name) == 0) {
      refused += fmt::format("\n  {}: changes the result", change);
      needed += (needed.empty() ? "" : ",") + name;
    } else {
      notes.push_back(change);
    }
  }
  if (!needed.empty()) needed = fmt::format(" or add --train.allow_change {}", needed);
  require<ConfigError>(refused.empty(), "run.settings",
                       "{} was trained with other settings{}\n  keep the old values{}",
                       wanted.train.run, refused, needed);
  return notes;
}

std::uint64_t RunDirectory::stored_batch() const {
  return read_stored(config()).train.global_batch;
}

io::Path RunDirectory::log(int rank) const {
  return root_ / "log" / fmt::format("rank{}.log", rank);
}

bool RunDirectory::has_run() const {
  return io::exists(config()) || io::exists(metrics()) || !checkpoint_steps(checkpoints()).empty();
}

std::vector<std::string> RunDirectory::check(const Settings& settings) const {
  if (settings.train.resume) {
    require<ConfigError>(io::exists(config()), "run.none",
                         "{} holds no run to resume\n  check --train.run, or leave out --resume to "
                         "start one",
                         root_.string());
    return compare_for_resume(read_stored(config()), settings);
  }
  if (settings.train.overwrite || !has_run()) return {};
  const std::vector<std::uint64_t> steps = checkpoint_steps(checkpoints());
  require<ConfigError>(!steps.empty(), "run.exists",
                       "{} holds a run that saved no checkpoint; use --overwrite to begin it anew, "
                       "or another --run",
                       root_.string());
  fail<ConfigError>("run.exists",
                    "{} holds a run at step {}; use --resume, --overwrite or another --run",
                    root_.string(), steps.back());
}

void RunDirectory::begin(const Settings& settings) const {
  if (settings.train.overwrite) {
    for (const io::Path& part : {checkpoints(), metrics(), root_ / "log", config()}) {
      io::remove_all(part);
    }
  }
  io::create_directories(root_ / "log");
  io::create_directories(checkpoints());
  io::write_text_atomically(config(), to_toml(settings));
}

void RunDirectory::start_log(int rank) const {
  io::create_directories(root_ / "log");
  log::open_file(log(rank));
}

}  // namespace motley
