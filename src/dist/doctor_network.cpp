// The networks between hosts.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "dist/doctor.h"
#include "tensor/error.h"

namespace motley {
namespace {

constexpr const char* chosen_network = "OMPI_MCA_btl_tcp_if_include";

std::uint32_t network_of(const Interface& interface) {
  const std::uint32_t mask =
      interface.prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - interface.prefix);
  return interface.address & mask;
}

std::string format_address(std::uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 255, address >> 8 & 255,
                     address & 255);
}

std::string format_network(const Interface& interface) {
  return fmt::format("{}/{}", format_address(network_of(interface)), interface.prefix);
}

bool is_private(std::uint32_t address) {
  return address >> 24 == 10 || address >> 20 == 0xAC1 || address >> 16 == 0xC0A8 ||
         address >> 16 == 0xA9FE || address >> 22 == (100u << 2 | 1);
}

const Interface* find_in(std::span<const Interface> host, const Interface& wanted) {
  for (const Interface& one : host) {
    if (one.prefix == wanted.prefix && network_of(one) == network_of(wanted)) return &one;
  }
  return nullptr;
}

/// Whether every host is in this network with an address of its own. Bridges of containers have the
/// same address on every host, and lead nowhere.
bool joins_all(std::span<const std::vector<Interface>> hosts, const Interface& network) {
  std::vector<std::uint32_t> addresses;
  for (const std::vector<Interface>& host : hosts) {
    const Interface* here = find_in(host, network);
    if (here == nullptr) return false;
    addresses.push_back(here->address);
  }
  std::sort(addresses.begin(), addresses.end());
  return std::adjacent_find(addresses.begin(), addresses.end()) == addresses.end();
}

/// The IPv4 interfaces of this host that are up, without loopback.
std::vector<Interface> list_interfaces() {
  ifaddrs* list = nullptr;
  require<EnvironmentError>(::getifaddrs(&list) == 0, "env.network",
                            "the network interfaces cannot be listed");
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  std::vector<Interface> found;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    const bool is_used = (at->ifa_flags & IFF_UP) != 0 && (at->ifa_flags & IFF_LOOPBACK) == 0;
    if (!is_used || at->ifa_addr == nullptr || at->ifa_netmask == nullptr ||
        at->ifa_addr->sa_family != AF_INET) {
      continue;
    }
    const auto number = [](const sockaddr* address) {
      return ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
    };
    found.push_back({at->ifa_name, number(at->ifa_addr), std::popcount(number(at->ifa_netmask))});
  }
  return found;
}

std::string to_text(std::span<const Interface> interfaces) {
  std::string text;
  for (const Interface& one : interfaces)
    text += fmt::format("{} {} {}\n", one.name, one.address, one.prefix);
  return text;
}

std::vector<Interface> interfaces_from_text(std::string_view text) {
  std::vector<Interface> interfaces;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t first = line.find(' ');
    const std::size_t second = line.rfind(' ');
    Interface one;
    one.name = line.substr(0, first);
    std::from_chars(line.data() + first + 1, line.data() + second, one.address);
    std::from_chars(line.data() + second + 1, line.data() + line.size(), one.prefix);
    interfaces.push_back(std::move(one));
  }
  return interfaces;
}

}  // namespace

Finding judge_networks(std::span<const std::vector<Interface>> hosts, std::string_view chosen) {
  std::vector<std::string> joint;
  std::string open_to_all;
  for (const Interface& network : hosts[0]) {
    if (!joins_all(hosts, network)) continue;
    joint.push_back(format_network(network));
    if (!is_private(network.address)) open_to_all = joint.back();
  }
  std::size_t most = 0;
  for (const std::vector<Interface>& host : hosts) most = std::max(most, host.size());
  if (joint.empty()) {
    return {Verdict::warn, "network",
            fmt::format("no IPv4 network holds all {} hosts", hosts.size()),
            "connect them, or see that routers between their networks let all ports pass"};
  }
  const std::string value = fmt::format("{} joins {} hosts", fmt::join(joint, ", "), hosts.size());
  if (most > 1 && chosen.empty()) {
    return {
        Verdict::warn, "network", value + "; hosts have other networks besides",
        fmt::format("--mca btl_tcp_if_include {0} --mca oob_tcp_if_include {0}, as launch/ssh.sh "
                    "does, lest Open MPI tries those",
                    joint[0])};
  }
  if (!open_to_all.empty()) {
    return {Verdict::warn, "network", fmt::format("{}; {} is a public network", value, open_to_all),
            "MPI neither encrypts nor asks who is there: use a private network or a VPN"};
  }
  return {Verdict::ok, "network", value, ""};
}

Findings check_network(Communicator& comm) {
  const auto [all, failures] = ask_ranks(comm, "network", [&] {
    return fmt::format("{}\n{}", comm.node(), to_text(list_interfaces()));
  });
  if (!failures.empty()) return failures;
  std::vector<std::vector<Interface>> hosts;
  for (std::size_t r = 0; r < all.size(); ++r) {
    const std::size_t end = all[r].find('\n');
    if (all[r].substr(0, end) != std::to_string(r))
      continue;  // a host speaks through its first rank
    hosts.push_back(interfaces_from_text(std::string_view(all[r]).substr(end + 1)));
  }
  if (hosts.size() == 1) return {{Verdict::ok, "network", "one host", ""}};
  const char* chosen = std::getenv(chosen_network);
  return {judge_networks(hosts, chosen == nullptr ? "" : chosen)};
}

}  // namespace motley
