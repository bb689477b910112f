// Fails for an op declared in ops.h that no case covers, and for a case that names an op that is
// not.
#include <cstdio>
#include <regex>
#include <set>

#include "tensor/io.h"
#include "tests/ops/op_case.h"

namespace motley::test {
namespace {

std::set<std::string> declared_ops(const std::string& header) {
  std::set<std::string> names;
  const std::regex declaration(R"((^|\n)void ([a-z_0-9]+)\()");
  for (auto at = std::sregex_iterator(header.begin(), header.end(), declaration);
       at != std::sregex_iterator(); ++at) {
    names.insert((*at)[2]);
  }
  return names;
}

int run(const char* header) {
  const std::set<std::string> declared = declared_ops(io::read_text(header));
  std::set<std::string> covered;
  for (const OpCase& op_case : all_cases()) covered.insert(op_case.ops.begin(), op_case.ops.end());
  int wrong = declared.empty() ? 1 : 0;
  for (const std::string& name : declared) {
    if (covered.count(name) != 0) continue;
    std::printf("op %s has no case: describe it in tests/ops\n", name.c_str());
    ++wrong;
  }
  for (const std::string& name : covered) {
    if (declared.count(name) != 0) continue;
    std::printf("a case covers op %s, which %s does not declare\n", name.c_str(), header);
    ++wrong;
  }
  std::printf("%zu ops, %zu covered\n", declared.size(), covered.size());
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace motley::test

int main(int argc, char** argv) {
  if (argc == 2) return motley::test::run(argv[1]);
  std::puts("usage: op_coverage OPS_HEADER");
  return 2;
}
