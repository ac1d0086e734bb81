// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace synfin::bench {
namespace {

// "4,210,331" from a thousand on, else four digits that count.
std::string number(double value) {
  if (std::abs(value) < 1000) return fmt::format("{:.4g}", value);
  std::string digits = fmt::format("{:.0f}", std::abs(value));
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return (value < 0 ? "-" : "") + digits;
}

std::string plain(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return number(value.get<double>());
  if (!value.is_object()) return value.dump();
  std::string out;
  for (const auto& [key, field] : value.items()) {
    if (!out.empty()) out += ", ";
    out += key + " " + plain(field);
  }
  return out;
}

using Row = std::vector<std::string>;

Row row_of(const Result& r, const std::vector<std::string>& peers) {
  Row row{r.benchmark, r.name, number(r.value), fmt::format("{} - {}", number(r.min), number(r.max)), r.unit};
  for (const std::string& peer : peers) {
    const auto value = r.peers.find(peer);
    const auto ratio = r.ratios.find(peer);
    row.push_back(value == r.peers.end() ? "" : number(value->second));
    row.push_back(ratio == r.ratios.end() ? "" : fmt::format("{:.2f} x", ratio->second));
  }
  return row;
}

std::string aligned(const Row& row, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const bool text = i < 2 || i == 4;
    line += text ? fmt::format("{:<{}}  ", row[i], widths[i]) : fmt::format("{:>{}}  ", row[i], widths[i]);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

Json to_json(const std::vector<Result>& results) {
  Json all = Json::array();
  for (const Result& r : results) {
    Json one{{"benchmark", r.benchmark},
             {"case", r.name},
             {"unit", r.unit},
             {"better", r.better == Better::kHigher ? "higher" : "lower"},
             {"value", r.value},
             {"min", r.min},
             {"max", r.max},
             {"runs", r.runs},
             {"peers", r.peers},
             {"ratios", r.ratios}};
    one.update(r.extra);
    if (!r.problem.empty()) one["problem"] = r.problem;
    if (!r.skipped.empty()) one["skipped"] = r.skipped;
    all.push_back(std::move(one));
  }
  return all;
}

std::string to_table(const std::vector<Result>& results) {
  std::vector<std::string> peers;
  for (const Result& r : results) {
    for (const auto& [name, value] : r.peers) {
      if (std::ranges::find(peers, name) == peers.end()) peers.push_back(name);
    }
  }
  Row head{"benchmark", "case", "median", "min - max", "unit"};
  for (const std::string& peer : peers) {
    head.push_back(peer);
    head.push_back("ratio");
  }
  std::vector<Row> rows{head};
  for (const Result& r : results) rows.push_back(row_of(r, peers));
  std::vector<std::size_t> widths(head.size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out = aligned(rows[0], widths);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i].skipped.empty()) {
      out += fmt::format("{} {}: skipped: {}\n", results[i].benchmark, results[i].name, results[i].skipped);
      continue;
    }
    out += aligned(rows[i + 1], widths);
    for (const auto& [key, value] : results[i].extra.items())
      out += fmt::format("    {}: {}\n", key, plain(value));
  }
  return out;
}

}  // namespace synfin::bench
