#include "tensor/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "tensor/error.h"
#include "tensor/printable.h"

namespace motley::log {
namespace {

/// Once: a disk that is full refuses every line. Whoever needs the disk fails with an error of
/// its own; the log is not worth ending a run for.
void report_failure(const std::string& reason) {
  static std::atomic_flag reported;
  if (reported.test_and_set()) return;
  const std::string text = "the log cannot be written, its lines are lost: " + reason + "\n";
  std::fputs(text.c_str(), stderr);
}

/// The console prints lines as they are; the file adds time and level.
struct Logger {
  std::mutex mutex;
  std::string prefix;
  std::shared_ptr<spdlog::sinks::stderr_sink_mt> console =
      std::make_shared<spdlog::sinks::stderr_sink_mt>();
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>("motley", console);

  Logger() {
    console->set_pattern("%v");
    console->set_level(spdlog::level::info);
    logger->set_level(spdlog::level::debug);
    logger->flush_on(spdlog::level::warn);
    logger->set_error_handler(report_failure);
  }
};

/// Of a thread that is a rank of its own; other threads are the process's rank.
thread_local std::optional<int> thread_rank;
thread_local std::string thread_prefix;

std::string prefix_of(int rank, int num_ranks) {
  return rank > 0 ? fmt::format("[rank {}/{}] ", rank, num_ranks) : "";
}

Logger& instance() {
  static Logger logger;
  return logger;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

void set_rank(int rank, int num_ranks) {
  Logger& self = instance();
  const std::lock_guard lock(self.mutex);
  self.prefix = prefix_of(rank, num_ranks);
  self.console->set_level(rank == 0 ? spdlog::level::info : spdlog::level::warn);
}

void set_thread_rank(int rank, int num_ranks) {
  thread_rank = rank;
  thread_prefix = prefix_of(rank, num_ranks);
}

void open_file(const std::filesystem::path& path) {
  Logger& self = instance();
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    const std::lock_guard lock(self.mutex);
    self.logger->sinks().push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& e) {
    fail<IoError>("io.failed", "cannot open the log {}: {}", path.string(), e.what());
  }
}

void set_console_level(Level level) {
  instance().console->set_level(to_spdlog(level));
}

void write(Level level, std::string_view text) {
  if (thread_rank.value_or(0) > 0 && level < Level::warn) return;
  Logger& self = instance();
  const std::lock_guard lock(self.mutex);
  self.logger->log(to_spdlog(level), "{}{}", thread_rank ? thread_prefix : self.prefix,
                   printable_message(text));
}

void flush() {
  instance().logger->flush();
}

}  // namespace motley::log
