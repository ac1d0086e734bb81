// SPDX-License-Identifier: Apache-2.0
#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "failure.h"

namespace synfin::app {
namespace {

// Non-blocking, so that opening a named pipe does not wait for its writer.
constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

/// For kernels or sandboxes without openat2: step by step, following no link at all.
int open_step_by_step(int root, const std::string& path) {
  int at = dup(root);
  std::size_t begin = 0;
  while (at >= 0 && begin < path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty() || name == ".") continue;
    const int next = name == ".." ? -1 : openat(at, name.c_str(), kOpenFlags | O_NOFOLLOW);
    close(at);
    at = next;
  }
  return at;
}

int open_beneath(int root, const std::string& path) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(kOpenFlags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const long fd = syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
  if (fd >= 0) return static_cast<int>(fd);
  return errno == ENOSYS || errno == EPERM ? open_step_by_step(root, path) : -1;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

ssize_t OpenFile::read(std::span<char> into, std::uint64_t offset) const {
  return pread(descriptor.get(), into.data(), into.size(), static_cast<off_t>(offset));
}

ServedDirectory::ServedDirectory(const std::string& path)
    : root_(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (root_.get() < 0)
    wrong_use(path, fmt::format("{}; give a directory that exists and can be read", std::strerror(errno)));
}

std::optional<OpenFile> ServedDirectory::find(std::string_view path) const {
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  OpenFile file{.descriptor =
                    link::FileDescriptor{open_beneath(root_.get(), path.empty() ? "." : std::string{path})}};
  struct stat status {};
  if (file.descriptor.get() < 0 || fstat(file.descriptor.get(), &status) != 0) return std::nullopt;
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return std::nullopt;
  file.is_directory = S_ISDIR(status.st_mode);
  file.size = static_cast<std::uint64_t>(status.st_size);
  return file;
}

std::optional<std::string> path_of_target(std::string_view target) {
  // Absolute form (RFC 9112 §3.2.2): scheme and authority are not our business.
  if (target.starts_with("http://")) {
    const std::size_t slash = target.find('/', 7);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  target = target.substr(0, target.find_first_of("?#"));
  if (!target.starts_with('/')) return std::nullopt;
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    char c = target[i];
    if (c == '%') {
      const int high = i + 2 < target.size() ? hex_digit(target[i + 1]) : -1;
      const int low = i + 2 < target.size() ? hex_digit(target[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    path += c;
  }
  return path;
}

std::string_view content_type(std::string_view path) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 24> kTypes{{
      {".html", "text/html; charset=utf-8"},
      {".htm", "text/html; charset=utf-8"},
      {".txt", "text/plain; charset=utf-8"},
      {".md", "text/markdown; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".csv", "text/csv; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".json", "application/json"},
      {".xml", "application/xml"},
      {".pdf", "application/pdf"},
      {".zip", "application/zip"},
      {".gz", "application/gzip"},
      {".xz", "application/x-xz"},
      {".zst", "application/zstd"},
      {".tar", "application/x-tar"},
      {".wasm", "application/wasm"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".jpg", "image/jpeg"},
      {".jpeg", "image/jpeg"},
      {".gif", "image/gif"},
      {".webp", "image/webp"},
      {".ico", "image/x-icon"},
      {".pcapng", "application/x-pcapng"},
  }};
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

std::string listing(const OpenFile& directory, std::string_view shown) {
  std::vector<std::string> names;
  // A directory stream owns its descriptor.
  const int own = openat(directory.descriptor.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, decltype([](DIR* d) { closedir(d); })> stream{own < 0 ? nullptr
                                                                                   : fdopendir(own)};
  for (const dirent* entry = stream ? readdir(stream.get()) : nullptr; entry != nullptr;
       entry = readdir(stream.get())) {
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (entry->d_type == DT_DIR) name += '/';
    names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  std::string page = fmt::format(
      "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{0}</title>\n<h1>{0}</h1>\n<ul>\n", escaped(shown));
  if (shown != "/") page += "<li><a href=\"../\">../</a></li>\n";
  for (const std::string& name : names) {
    const bool folder = name.ends_with('/');
    const std::string reference =
        percent_encoded(folder ? name.substr(0, name.size() - 1) : name) + (folder ? "/" : "");
    page += fmt::format("<li><a href=\"./{}\">{}</a></li>\n", reference, escaped(name));
  }
  page += "</ul>\n<p>Served by Synfin.</p>\n";
  return page;
}

}  // namespace synfin::app
