// SPDX-License-Identifier: Apache-2.0
//
// A load of HTTP requests over kernel sockets: so many connections at once, so many requests in all, each
// answer checked for its status and its length. Prints one JSON object; exit status 0 only where none failed.
//   synfin-http-load HOST PORT PATH CONNECTIONS REQUESTS REQUESTS-PER-CONNECTION
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

struct Client {
  int fd = -1;
  int left = 0;    // requests this connection may still make
  std::string in;  // head of the answer until it is complete
  std::size_t expected = 0;
  bool in_body = false;
  std::size_t written = 0;
};

struct Load {
  sockaddr_storage address{};
  socklen_t address_size = 0;
  std::string keep_request, last_request;
  long requests = 0, per_connection = 1;
  long begun = 0, done = 0, failed = 0, connections = 0;
  long long body_octets = 0;
  std::map<std::string, long> failures;
  int poller = -1;
  std::vector<Client> clients;

  void fail(Client& c, const std::string& why) {
    ++failed;
    ++failures[why];
    release(c);
  }
  void release(Client& c) {
    if (c.fd >= 0) close(c.fd);
    c = Client{};
  }
  const std::string& request(const Client& c) const { return c.left == 1 ? last_request : keep_request; }

  void watch(const Client& c, std::uint32_t events, int operation) const {
    epoll_event e{};
    e.events = events;
    e.data.u64 = static_cast<std::uint64_t>(&c - clients.data());
    epoll_ctl(poller, operation, c.fd, &e);
  }

  // A new connection for `c`, as long as requests remain.
  void open(Client& c) {
    if (begun >= requests) return;
    c.left = static_cast<int>(std::min(per_connection, requests - begun));
    begun += c.left;
    ++connections;
    c.fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c.fd < 0) return lost(c, std::string("socket: ") + std::strerror(errno));
    if (connect(c.fd, reinterpret_cast<const sockaddr*>(&address), address_size) < 0 &&
        errno != EINPROGRESS) {
      return lost(c, std::string("connect: ") + std::strerror(errno));
    }
    watch(c, EPOLLOUT, EPOLL_CTL_ADD);
  }

  // The connection is gone with requests unanswered: each of them has failed.
  void lost(Client& c, const std::string& why) {
    failed += c.left - 1;
    failures[why] += c.left - 1;
    fail(c, why);
    open(c);
  }

  void on_writable(Client& c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return lost(c, std::string("connection: ") + std::strerror(error));
    const std::string& text = request(c);
    const ssize_t n = ::send(c.fd, text.data() + c.written, text.size() - c.written, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN ? void() : lost(c, std::string("send: ") + std::strerror(errno));
    c.written += static_cast<std::size_t>(n);
    if (c.written == text.size()) watch(c, EPOLLIN, EPOLL_CTL_MOD);
  }

  void on_readable(Client& c) {
    char buffer[65536];
    const ssize_t n = ::recv(c.fd, buffer, sizeof buffer, 0);
    if (n < 0) return errno == EAGAIN ? void() : lost(c, std::string("receive: ") + std::strerror(errno));
    if (n == 0) return lost(c, "end of stream before the answer was whole");
    c.in.append(buffer, static_cast<std::size_t>(n));
    if (!c.in_body && !read_head(c)) return;
    if (c.in.size() < c.expected) return;
    if (c.in.size() > c.expected) return lost(c, "more octets than Content-Length says");
    ++done;
    body_octets += static_cast<long long>(c.expected);
    const int left = c.left - 1;
    if (left == 0) {
      release(c);
      return open(c);
    }
    c.in.clear();
    c.in_body = false;
    c.written = 0;
    c.left = left;
    watch(c, EPOLLOUT, EPOLL_CTL_MOD);
    on_writable(c);
  }

  // Takes the head off the front of `c.in`; false until it is there, or where it is none.
  bool read_head(Client& c) {
    const std::size_t end = c.in.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const std::string head = c.in.substr(0, end + 2);
    if (head.compare(0, 12, "HTTP/1.1 200") != 0) return lost(c, head.substr(0, head.find('\r'))), false;
    const std::size_t field = head.find("\r\nContent-Length: ");
    if (field == std::string::npos) return lost(c, "no Content-Length"), false;
    c.expected = std::strtoul(head.c_str() + field + 18, nullptr, 10);
    c.in.erase(0, end + 4);
    c.in_body = true;
    return true;
  }

  void run(std::size_t at_once) {
    poller = epoll_create1(EPOLL_CLOEXEC);
    clients.resize(at_once);
    for (Client& c : clients) open(c);
    std::vector<epoll_event> ready(1024);
    while (done + failed < requests) {
      const int n = epoll_wait(poller, ready.data(), static_cast<int>(ready.size()), 30'000);
      if (n == 0) {
        std::fprintf(stderr, "nothing happened for 30 s\n");
        failed += requests - done - failed;
      }
      for (int i = 0; i < n; ++i) {
        Client& c = clients[ready[static_cast<std::size_t>(i)].data.u64];
        if (c.fd < 0) continue;
        const std::uint32_t events = ready[static_cast<std::size_t>(i)].events;
        if ((events & EPOLLIN) != 0) {
          on_readable(c);
        } else {
          on_writable(c);
        }
      }
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: %s HOST PORT PATH CONNECTIONS REQUESTS REQUESTS-PER-CONNECTION\n", argv[0]);
    return 2;
  }
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(argv[1], argv[2], &hints, &found) != 0) {
    std::fprintf(stderr, "%s %s: not an address and a port\n", argv[1], argv[2]);
    return 2;
  }
  Load load;
  std::memcpy(&load.address, found->ai_addr, found->ai_addrlen);
  load.address_size = found->ai_addrlen;
  freeaddrinfo(found);
  const std::string line = std::string("GET ") + argv[3] + " HTTP/1.1\r\nHost: load\r\n";
  load.keep_request = line + "\r\n";
  load.last_request = line + "Connection: close\r\n\r\n";
  const long at_once = std::atol(argv[4]);
  load.requests = std::atol(argv[5]);
  load.per_connection = std::atol(argv[6]);
  if (at_once < 1 || load.requests < 1 || load.per_connection < 1) return 2;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  const auto begin = std::chrono::steady_clock::now();
  load.run(static_cast<std::size_t>(at_once));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf(
      "{\"requests\": %ld, \"failed\": %ld, \"connections\": %ld, \"octets\": %lld, \"seconds\": %.3f, "
      "\"failures\": {",
      load.done, load.failed, load.connections, load.body_octets, seconds);
  const char* separator = "";
  for (const auto& [why, count] : load.failures) {
    std::printf("%s\"%s\": %ld", separator, why.c_str(), count);
    separator = ", ";
  }
  std::printf("}}\n");
  return load.failed == 0 && load.done == load.requests ? 0 : 1;
}
