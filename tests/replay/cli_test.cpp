// SPDX-License-Identifier: Apache-2.0
// `tcpwin-agent replay` on the command line: exit codes, outputs, messages.
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "replay/outcome.hpp"
#include "support/emitted.hpp"

namespace tcpwin::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

const std::string tutorial = capture("tutorial/tutorial.pcap");
const std::string dead = capture("zerowindow_dead.pcapng"); // 8 packets

struct Ran {
	int exit = -1;
	std::string out;
	std::string error;

	std::vector<std::string> error_lines() const
	{
		std::istringstream stream(error);
		std::vector<std::string> lines;
		for (std::string line; std::getline(stream, line);)
			lines.push_back(line);
		return lines;
	}
};

class Cli : public ::testing::Test {
protected:
	// Runs the command in a shell: $AGENT is the program, $OUT a private directory.
	Ran run(const std::string &command)
	{
		const std::string out = directory / "stdout", error = directory / "stderr";
		const int status = std::system(("exec >" + out + " 2>" + error + "; AGENT=" + TCPWIN_AGENT +
						" OUT=" + directory.path() + "; " + command)
						       .c_str());
		for (const std::string &path : {out, directory / "flows", directory / "packets"})
			keep_emitted(text_of(path));
		return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text_of(out), text_of(error)};
	}
	Ran replay(const std::string &arguments) { return run("$AGENT replay " + arguments); }

	static std::string text_of(const std::string &path)
	{
		const Bytes bytes = content_of(path);
		return {bytes.begin(), bytes.end()};
	}

	TemporaryDirectory directory;
};

std::string expected_flows(const std::string &path)
{
	return flow_text(run_portable(frames_of(path)).flows, TCPWIN_DEFAULT_CONFIG);
}

TEST_F(Cli, T2RecordsGoToStandardOutputAndTheReportToStandardError)
{
	const Ran ran = replay("--format t2 " + tutorial);
	EXPECT_EQ(ran.exit, 0);
	EXPECT_EQ(ran.out, expected_flows(tutorial));
	EXPECT_THAT(ran.out,
		    StartsWith("%dir\tflowInd\ttimeFirst\ttimeLast\tduration\tvlan\tsrcIP\tsrcPort\tdstIP\tdstPort\t"
			       "l4Proto\ttcpWinStat\ttcpWinState\ttcpWinThCnt\n"));
	EXPECT_THAT(ran.error, AllOf(HasSubstr("Capture start: 2009-11-19T01:29:23.408285000Z\n"),
				     HasSubstr("Capture end: 2009-11-19T01:29:51.015208000Z\n"),
				     HasSubstr("Capture duration: 27.606923000 s\n"), HasSubstr("Packets seen: 18\n"),
				     HasSubstr("Flows: 3\nA flows: 3\nB flows: 2\n")));
}

TEST_F(Cli, QuietPrintsNothingToStandardError)
{
	EXPECT_EQ(replay("-q " + tutorial).error, "");
}

TEST_F(Cli, JsonIsTheDefault)
{
	const Ran ran = replay("-q " + tutorial);
	EXPECT_EQ(ran.exit, 0);
	std::vector<nlohmann::json> flows;
	std::istringstream lines(ran.out);
	for (std::string line; std::getline(lines, line);)
		flows.push_back(nlohmann::json::parse(line));
	ASSERT_THAT(flows, SizeIs(3));
	EXPECT_EQ(flows[0]["a"]["state"], "ABRT");
	EXPECT_EQ(flows[0]["a"]["zero_window_count"], 2);
	EXPECT_EQ(flows[0]["end_reason"], "abort_timeout");
	EXPECT_EQ(flows[0]["in_iface"], nullptr);
	EXPECT_EQ(flows[2]["end_reason"], "shutdown");
	EXPECT_EQ(flows[2]["b"], nullptr);
}

TEST_F(Cli, EveryRunGivesTheSameOutput)
{
	const std::string scan = capture("gnutella_scan.pcap");
	const Ran first = replay("--format t2 -q --packets $OUT/packets1 " + scan);
	const Ran second = replay("--format t2 -q --packets $OUT/packets2 " + scan);
	EXPECT_EQ(first.out, expected_flows(scan));
	EXPECT_EQ(first.out, second.out);
	EXPECT_EQ(text_of(directory / "packets1"), text_of(directory / "packets2"));
}

TEST_F(Cli, PacketRecordsGoToASeparateFile)
{
	const Ran ran = replay("-q --format t2 --output $OUT/flows --packets $OUT/packets " + tutorial);
	EXPECT_EQ(ran.exit, 0);
	EXPECT_EQ(ran.out, "");
	EXPECT_EQ(text_of(directory / "flows"), expected_flows(tutorial));
	EXPECT_EQ(text_of(directory / "packets"),
		  packet_text(run_portable(frames_of(tutorial)).packets, TCPWIN_DEFAULT_CONFIG));
}

TEST_F(Cli, PacketsAndFlowsToTheSameFileAreRefused)
{
	const Ran ran = replay("--packets - " + tutorial);
	EXPECT_EQ(ran.exit, 2);
	EXPECT_EQ(ran.out, "");
	EXPECT_THAT(ran.error_lines(), ElementsAre(HasSubstr("--packets and --output are the same (-)")));
}

TEST_F(Cli, AnOutputThatIsAnInputIsRefusedAndStays)
{
	const std::string copy =
		"cp " + tutorial + " $OUT/in.pcap; ln -s in.pcap $OUT/soft; ln $OUT/in.pcap $OUT/hard; ";
	const std::string commands[] = {
		"--output $OUT/in.pcap $OUT/in.pcap", "--output $OUT/soft $OUT/in.pcap",
		"--output $OUT/in.pcap $OUT/soft",    "--output $OUT/hard " + tutorial + " $OUT/in.pcap",
		"--packets $OUT/hard $OUT/in.pcap",   "--output $OUT/in.pcap - < $OUT/hard",
		"$OUT/in.pcap >> $OUT/soft",
	};
	run(copy);
	for (const std::string &command : commands) {
		const Ran ran = replay(command);
		EXPECT_EQ(ran.exit, 2) << command;
		EXPECT_THAT(ran.error_lines(), ElementsAre(HasSubstr("is the same file as the input"))) << command;
		EXPECT_EQ(text_of(directory / "in.pcap"), text_of(tutorial)) << command;
	}
	run("echo 'abort-count = 3' > $OUT/settings");
	EXPECT_EQ(replay("--config $OUT/settings --output $OUT/settings " + tutorial).exit, 2);
	EXPECT_EQ(text_of(directory / "settings"), "abort-count = 3\n");
	EXPECT_EQ(replay("--packets $OUT/soft --output $OUT/hard " + tutorial).exit, 2) << "two names of one file";
	EXPECT_EQ(text_of(directory / "in.pcap"), text_of(tutorial));
	EXPECT_EQ(replay("--output /dev/null - < /dev/null").exit, 1) << "a device is no file that could be lost";
}

TEST_F(Cli, TimeoutAndAbortCountOptionsTakeEffect)
{
	const Ran ran = replay("-q --format t2 --timeout-est 4s --abort-count 3 " + tutorial);
	tcpwin_config config = TCPWIN_DEFAULT_CONFIG;
	config.timeout_ns[TCPWIN_TIMEOUT_EST] = 4'000'000'000;
	config.abort_count = 3;
	EXPECT_EQ(ran.out, flow_text(run_portable(frames_of(tutorial), config).flows, config));
	EXPECT_NE(ran.out, expected_flows(tutorial));
}

// ---- several files, standard input ----

TEST_F(Cli, FrameNumbersContinueAcrossFiles)
{
	const Ran ran = replay("-q --format t2 --packets $OUT/packets " + dead + " " + tutorial);
	EXPECT_EQ(ran.exit, 0);
	std::vector<std::string> numbers;
	for (const Row &packet : parse_table(text_of(directory / "packets")))
		numbers.push_back(packet.at("pktNo"));
	ASSERT_THAT(numbers, SizeIs(8 + 18));
	for (std::size_t i = 0; i < numbers.size(); i++)
		EXPECT_EQ(numbers[i], std::to_string(i + 1));
}

TEST_F(Cli, FramesThatTheFilterDropsStillCountInFrameNumbers)
{
	replay("-q --format t2 --packets $OUT/packets --filter 'host 143.166.11.10' " + dead + " " + tutorial);
	const std::vector<Row> packets = parse_table(text_of(directory / "packets"));
	ASSERT_THAT(packets, SizeIs(18));
	EXPECT_EQ(packets[0].at("pktNo"), "9");
}

TEST_F(Cli, FlowsContinueAcrossFiles)
{
	const Frames frames = frames_of(capture("http_206.pcap"));
	const auto middle = frames.begin() + 700;
	directory.write("1.pcap", pcap_file(Frames(frames.begin(), middle)));
	directory.write("2.pcapng", pcapng_file(Frames(middle, frames.end())));
	const Ran parts = replay("-q --format t2 --packets $OUT/packets $OUT/1.pcap $OUT/2.pcapng");
	EXPECT_EQ(parts.exit, 0);
	EXPECT_EQ(parts.out, expected_flows(capture("http_206.pcap")));
	EXPECT_EQ(text_of(directory / "packets"), packet_text(run_portable(frames).packets, TCPWIN_DEFAULT_CONFIG));
}

TEST_F(Cli, PlainAndCompressedCapturesAreReadFromStandardInput)
{
	for (const char *pipe : {"cat ", "gzip -c ", "xz -c ", "zstd -qc "}) {
		if (std::system(
			    ("command -v " + std::string(pipe).substr(0, std::string(pipe).find(' ')) + " >/dev/null")
				    .c_str()))
			continue; // not installed
		const Ran ran = run(pipe + tutorial + " | $AGENT replay -q --format t2 -");
		EXPECT_EQ(ran.exit, 0) << pipe;
		EXPECT_EQ(ran.out, expected_flows(tutorial)) << pipe;
	}
	EXPECT_EQ(replay("-q --format t2 - <" + tutorial).out, expected_flows(tutorial));
}

// ---- times ----

// The tutorial's capture, whose clock is an hour late from the tenth frame on, and has one wild time.
Frames with_a_bad_clock()
{
	Frames frames = frames_of(tutorial);
	for (std::size_t i = 10; i < frames.size(); i++)
		frames[i].time_ns -= 3600'000'000'000;
	frames[4].time_ns += 31'536'000'000'000'000 * 20;
	return frames;
}

TEST_F(Cli, TheClockOfACaptureIsCorrectedAndTheReportSaysHow)
{
	directory.write("bad.pcap", pcap_file(with_a_bad_clock()));
	for (const char *engine : {"portable", "kernel"}) {
		if (std::string(engine) == "kernel" && geteuid() != 0)
			continue;
		const Ran ran =
			replay("--format t2 --max-clock-jump 1h --engine " + std::string(engine) + " $OUT/bad.pcap");
		EXPECT_EQ(ran.exit, 0) << ran.error;
		EXPECT_THAT(ran.error, HasSubstr("Clock of the capture: set back once, by about 1h; 1 wild time"));
		EXPECT_THAT(ran.error, AllOf(HasSubstr("Capture start: 2009-11-19T01:29:23."),
					     HasSubstr("Capture end: 2009-11-19T01:29:"), HasSubstr("Flows: 3\n")));
	}
}

TEST_F(Cli, TheTutorialsProfileTakesTimesAsTheyAre)
{
	directory.write("bad.pcap", pcap_file(with_a_bad_clock()));
	const Ran ran = replay("--format t2 $OUT/bad.pcap");
	EXPECT_EQ(ran.out, flow_text(run_portable(with_a_bad_clock()).flows, TCPWIN_DEFAULT_CONFIG));
	EXPECT_THAT(ran.error, Not(HasSubstr("Clock of the capture")));
}

TEST_F(Cli, ACaptureWithoutTimesIsReported)
{
	Frames frames = frames_of(tutorial);
	for (TimedFrame &frame : frames)
		frame.time_ns = 0;
	directory.write("none.pcap", pcap_file(frames));
	EXPECT_THAT(replay("$OUT/none.pcap").error,
		    HasSubstr("Clock of the capture: no times, all frames have the same\n"));
}

TEST_F(Cli, AHeldFrameIsTrackedEvenIfTheFileIsCut)
{
	Frames frames = frames_of(tutorial);
	frames[16].time_ns -= 10'000'000'000; // held until the next frame is read, which is cut
	Bytes bytes = pcap_file(frames);
	bytes.resize(bytes.size() - frames[17].bytes.size() / 2);
	directory.write("cut.pcap", bytes);
	const Ran ran = replay("--profile monitor $OUT/cut.pcap");
	EXPECT_EQ(ran.exit, 1);
	EXPECT_THAT(ran.error, AllOf(HasSubstr("beyond frame 17"), HasSubstr("Packets seen: 17\n")));
}

// ---- errors ----

TEST_F(Cli, WrongUsageExitsWith2AndOneSentence)
{
	for (const char *arguments : {"", "--engine other FILE", "--format xml FILE", "--timeout-est 4 FILE",
				      "--abort-count 0 FILE", "--no-such-option FILE"}) {
		const Ran ran = replay(arguments);
		EXPECT_EQ(ran.exit, 2) << arguments;
		EXPECT_EQ(ran.out, "") << arguments;
		EXPECT_THAT(ran.error_lines(), ElementsAre(StartsWith("tcpwin-agent: error: wrong usage: ")))
			<< arguments;
	}
}

TEST_F(Cli, AnInvalidFilterExitsWith2)
{
	const Ran ran = replay("-q --filter 'port and' " + tutorial);
	EXPECT_EQ(ran.exit, 2);
	EXPECT_THAT(ran.error_lines(),
		    ElementsAre(AllOf(StartsWith("tcpwin-agent: error: cannot use --filter 'port and': "),
				      EndsWith("see pcap-filter(7) for the syntax"))));
}

TEST_F(Cli, AMissingFileExitsWith1BeforeAnyFileIsRead)
{
	directory.write("flows", {'o', 'l', 'd'});
	const Ran ran = replay("--output $OUT/flows " + tutorial + " $OUT/missing.pcap");
	EXPECT_EQ(ran.exit, 1);
	EXPECT_THAT(ran.error_lines(), ElementsAre("tcpwin-agent: error: cannot open " + (directory / "missing.pcap") +
						   ": No such file or directory"));
	EXPECT_EQ(text_of(directory / "flows"), "old");
}

TEST_F(Cli, AFailureDoesNotTruncateTheOutput)
{
	for (const std::string &mistake : {"--filter 'port and' " + tutorial, std::string("$OUT")}) {
		directory.write("flows", {'o', 'l', 'd'});
		const Ran ran = replay("--output $OUT/flows " + mistake);
		EXPECT_THAT(ran.error_lines(), SizeIs(1)) << mistake;
		EXPECT_EQ(text_of(directory / "flows"), "old") << mistake;
	}
}

TEST_F(Cli, ATruncatedFileExitsWith1AfterWritingItsRecords)
{
	Bytes file = content_of(tutorial);
	file.resize(1000); // five frames
	directory.write("cut.pcap", file);
	const Ran ran = replay("--format t2 $OUT/cut.pcap");
	const Frames all = frames_of(tutorial);
	EXPECT_EQ(ran.exit, 1);
	EXPECT_EQ(ran.out, flow_text(run_portable(Frames(all.begin(), all.begin() + 5)).flows, TCPWIN_DEFAULT_CONFIG));
	EXPECT_THAT(ran.error, HasSubstr("Packets seen: 5\n"));
	EXPECT_THAT(ran.error_lines().back(), AllOf(StartsWith("tcpwin-agent: error: cannot read " +
							       (directory / "cut.pcap") + " beyond frame 5: truncated"),
						    EndsWith("; the records cover all earlier frames")));
}

TEST_F(Cli, AFileThatIsNotACaptureExitsWith1AfterTheRecordsOfTheFilesBefore)
{
	directory.write("text", Bytes(100, 'x'));
	const Ran ran = replay("-q --format t2 " + tutorial + " $OUT/text " + dead);
	EXPECT_EQ(ran.exit, 1);
	EXPECT_EQ(ran.out, expected_flows(tutorial));
	EXPECT_THAT(ran.error_lines(),
		    ElementsAre(AllOf(StartsWith("tcpwin-agent: error: cannot read "), HasSubstr("/text: "),
				      EndsWith("supported formats are pcap and pcapng, "
					       "optionally compressed"))));
}

TEST_F(Cli, AFullDiskExitsWith1)
{
	for (const char *outputs : {"--output /dev/full", "--output $OUT/flows --packets /dev/full", ">/dev/full"}) {
		const Ran ran = replay(tutorial + " -q " + outputs);
		EXPECT_EQ(ran.exit, 1) << outputs;
		EXPECT_THAT(ran.error_lines(),
			    ElementsAre(AllOf(StartsWith("tcpwin-agent: error: cannot write records to "),
					      HasSubstr("No space left on device"))))
			<< outputs;
	}
}

TEST_F(Cli, AnOutputThatCannotBeOpenedExitsWith1)
{
	const Ran ran = replay("--output $OUT/no/such/directory/flows " + tutorial);
	EXPECT_EQ(ran.exit, 1);
	EXPECT_THAT(ran.error_lines(),
		    ElementsAre(HasSubstr("/no/such/directory/flows for writing: No such file or directory")));
}

TEST_F(Cli, AClosedOutputPipeExitsWith1)
{
	const Ran ran =
		run("($AGENT replay -q " + capture("gnutella_scan.pcap").string() + "; echo exit $? >&2) | true");
	EXPECT_THAT(ran.error, AllOf(HasSubstr("cannot write records to standard output: "), HasSubstr("exit 1")));
}

TEST_F(Cli, AnEmptyCaptureHasNoFlows)
{
	directory.write("empty.pcap", pcap_file({}));
	const Ran ran = replay("--format t2 $OUT/empty.pcap");
	EXPECT_EQ(ran.exit, 0);
	EXPECT_THAT(parse_table(ran.out), IsEmpty());
	EXPECT_THAT(ran.error, AllOf(HasSubstr("Packets seen: 0\n"), Not(HasSubstr("Capture start"))));
}

TEST_F(Cli, ReplayHelpHasExamples)
{
	const Ran ran = replay("--help");
	EXPECT_EQ(ran.exit, 0);
	EXPECT_THAT(ran.out, AllOf(HasSubstr("tcpwin-agent replay capture.pcapng"), HasSubstr("--filter"),
				   HasSubstr("--engine")));
}

// ---- the kernel engine ----

TEST_F(Cli, TheKernelEngineWritesTheSameRecords)
{
	const std::string files =
		tutorial + " " + capture("ftp_ipv6.pcap").string() + " " + capture("vlan_bot.pcap").string();
	const std::string packets = "-q --format t2 --packets $OUT/";
	const Ran kernel = replay("--engine kernel " + packets + "kernel " + files);
	if (kernel.exit == 69 || kernel.exit == 77)
		GTEST_SKIP() << kernel.error;
	const Ran portable = replay(packets + "portable " + files);
	EXPECT_EQ(kernel.exit, 0) << kernel.error;
	EXPECT_EQ(kernel.out, portable.out);
	EXPECT_EQ(text_of(directory / "kernel"), text_of(directory / "portable"));
}

// ---- signals ----

constexpr std::chrono::seconds patience{60}; // for a loaded machine

// A replay of standard input; the test holds the writing end.
class Running {
public:
	explicit Running(const std::string &output)
	{
		int ends[2] = {};
		EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
		input_ = ends[1];
		posix_spawn_file_actions_t actions;
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
		std::string program = TCPWIN_AGENT;
		const char *arguments[] = {program.c_str(), "replay",       "-",    "-q", "--format", "t2",
					   "--output",      output.c_str(), nullptr};
		EXPECT_EQ(
			posix_spawn(&pid_, program.c_str(), &actions, nullptr, const_cast<char **>(arguments), environ),
			0);
		posix_spawn_file_actions_destroy(&actions);
		close(ends[0]);
	}
	~Running()
	{
		close_input();
		if (pid_ > 0) {
			kill(pid_, SIGKILL);
			waitpid(pid_, nullptr, 0);
		}
	}
	Running(const Running &) = delete;
	Running &operator=(const Running &) = delete;

	// Blocks until all bytes are read or in the pipe. Returns false if the reader has exited.
	bool send(const Bytes &bytes) const
	{
		for (std::size_t done = 0; done < bytes.size();) {
			const ssize_t written = write(input_, bytes.data() + done, bytes.size() - done);
			if (written < 0)
				return false;
			done += static_cast<std::size_t>(written);
		}
		return true;
	}
	// Whether all input has been read and the process sleeps, which it does only to wait for more.
	bool waits_for_input() const
	{
		int unread = 0;
		if (ioctl(input_, FIONREAD, &unread) != 0 || unread != 0)
			return false;
		std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
		const std::string text(std::istreambuf_iterator<char>(stat), {});
		return text.find(") S ") != std::string::npos;
	}
	void signal(int number) const { kill(pid_, number); }
	void close_input()
	{
		if (input_ >= 0)
			close(input_);
		input_ = -1;
	}

	// The exit code, or -1 if it does not exit in time.
	int wait()
	{
		const auto until = std::chrono::steady_clock::now() + patience;
		for (int status = 0; std::chrono::steady_clock::now() < until;
		     std::this_thread::sleep_for(std::chrono::milliseconds(5)))
			if (waitpid(pid_, &status, WNOHANG) == pid_) {
				pid_ = -1;
				return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			}
		return -1;
	}

private:
	pid_t pid_ = -1;
	int input_ = -1;
};

// As by Ctrl-C: the records of what was read are written without waiting for the rest, and the exit code is 0.
TEST_F(Cli, ASignalEndsAReplay)
{
	const Bytes scan = pcap_file(frames_of(capture("gnutella_scan.pcap")));
	const Bytes frames(scan.begin() + 24, scan.end());
	const auto before = std::signal(SIGPIPE, SIG_IGN);
	Running running(directory / "flows");
	ASSERT_TRUE(running.send(scan));
	running.signal(SIGINT);
	int repeats = 0;
	while (running.send(frames) && repeats < 1'000) // it may be in the middle of a block
		repeats++;
	std::signal(SIGPIPE, before);
	EXPECT_LT(repeats, 1'000);
	EXPECT_EQ(running.wait(), 0);
	EXPECT_THAT(parse_table(text_of(directory / "flows")), SizeIs(::testing::Ge(1U)));
}

TEST_F(Cli, ASignalEndsAReplayThatWaitsForInput)
{
	Running running(directory / "flows");
	running.send(content_of(tutorial));
	const auto until = std::chrono::steady_clock::now() + patience;
	while (!running.waits_for_input() && std::chrono::steady_clock::now() < until)
		std::this_thread::sleep_for(std::chrono::milliseconds(5));
	running.signal(SIGINT);
	EXPECT_EQ(running.wait(), 0);
	EXPECT_EQ(text_of(directory / "flows"), expected_flows(tutorial));
}

} // namespace
} // namespace tcpwin::test
