// Drives AvroBatch from a script on stdin, so that the values a test expects are written in the test only.
//   begin CLUSTER NODE BOOT_ID VERSION SEQUENCE BASE_TIME_NS
//   connection ID TRANSPORT SIDE SOURCE CLIENT_IP CLIENT_PORT SERVER_IP SERVER_PORT PID START_NS COMM CGROUP CONTAINER TLS POD
//   segment CONNECTION DIRECTION POSITION LENGTH TIME_NS FLAGS PAYLOAD
//   finish                      writes the batch to stdout after its size (32 bits, little-endian)
// Strings and bytes are hex, `-` when empty; numbers are decimal. The optional argument is the size hint.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "avro_batch.hpp"

using namespace klartext;

namespace {

std::string from_hex(const std::string &hex) {
  std::string bytes;
  if (hex == "-") return bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  bytes.reserve(hex.size() / 2);
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  return bytes;
}

const uint8_t *bytes_of(const std::string &text) { return reinterpret_cast<const uint8_t *>(text.data()); }

} // namespace

int main(int argc, char **argv) {
  AvroBatch batch(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 64 * 1024);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream in(line);
    std::string verb;
    in >> verb;
    if (verb == "begin") {
      std::string cluster, node, boot, version;
      BatchHeader header;
      in >> cluster >> node >> boot >> version >> header.sequence >> header.base_time_ns;
      const std::string texts[] = {from_hex(cluster), from_hex(node), from_hex(boot), from_hex(version)};
      header.cluster = texts[0];
      header.node = texts[1];
      header.boot_id = texts[2];
      header.capturer_version = texts[3];
      batch.begin(header);
    } else if (verb == "connection") {
      BatchConnection connection;
      unsigned transport, side;
      std::string source, client, server, comm, container, tls, pod;
      in >> connection.conn_id >> transport >> side >> source >> client >> connection.client_port >> server >>
          connection.server_port >> connection.pid >> connection.process_start_ns >> comm >> connection.cgroup_id >>
          container >> tls >> pod;
      const std::string texts[] = {from_hex(source), from_hex(client), from_hex(server),
                                   from_hex(comm),   from_hex(container), from_hex(tls), from_hex(pod)};
      connection.transport = static_cast<Transport>(transport);
      connection.side = static_cast<CaptureSide>(side);
      connection.source = texts[0];
      connection.client_ip = bytes_of(texts[1]);
      connection.client_ip_size = static_cast<uint8_t>(texts[1].size());
      connection.server_ip = bytes_of(texts[2]);
      connection.server_ip_size = static_cast<uint8_t>(texts[2].size());
      connection.comm = texts[3];
      connection.container_id = texts[4];
      connection.tls_version = texts[5];
      connection.pod_uid = texts[6];
      batch.add_connection(connection);
    } else if (verb == "segment") {
      uint32_t connection, flags;
      unsigned direction;
      int64_t position, length, time_ns;
      std::string payload;
      in >> connection >> direction >> position >> length >> time_ns >> flags >> payload;
      const std::string bytes = from_hex(payload);
      batch.add_segment(connection, static_cast<Direction>(direction), position, length, time_ns, flags, bytes_of(bytes),
                        bytes.size());
    } else if (verb == "finish") {
      EncodedBatch encoded = batch.finish();
      const auto size = static_cast<uint32_t>(encoded.size);
      std::fwrite(&size, sizeof size, 1, stdout);
      std::fwrite(encoded.data, 1, encoded.size, stdout);
      free_batch(encoded);
    } else {
      std::fprintf(stderr, "unknown verb: %s\n", verb.c_str());
      return 2;
    }
    if (in.fail()) {
      std::fprintf(stderr, "not understood: %s\n", line.substr(0, 200).c_str());
      return 2;
    }
  }
  return 0;
}
