// SPDX-License-Identifier: Apache-2.0
//
// Reading structs of another layout by their BTF. Each test defines both layouts as BTF and as C++ structs.
#include <bpf/btf.h>

#include <numeric>
#include <string>

#include <gmock/gmock.h>

#include "bpf/btf.hpp"
#include "bpf/struct_reader.hpp"

#include "kernel.hpp"

namespace tcpwin::test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Field {
	const char *name;
	int type;
	size_t offset;
	int bits = 0; // not 0: a bit-field
};

// Type information of one object.
class Types {
public:
	Types() : types_(btf__new_empty()) {}

	const btf *get() const { return types_.get(); }

	int add_integer(const char *name, size_t size, int encoding = 0)
	{
		return btf__add_int(types_.get(), name, size, encoding);
	}

	int add_array(int element, uint32_t count) { return btf__add_array(types_.get(), u32, element, count); }

	int add_enum(const char *name, const std::vector<std::pair<const char *, int>> &enumerators)
	{
		int id = btf__add_enum(types_.get(), name, 4);
		for (auto [enumerator, value] : enumerators)
			EXPECT_EQ(btf__add_enum_value(types_.get(), enumerator, value), 0);
		return id;
	}

	int add_struct(const char *name, size_t size, const std::vector<Field> &fields)
	{
		int id = btf__add_struct(types_.get(), name, static_cast<uint32_t>(size));
		for (const Field &field : fields)
			EXPECT_EQ(btf__add_field(types_.get(), field.name, field.type,
						 static_cast<uint32_t>(8 * field.offset),
						 static_cast<uint32_t>(field.bits)),
				  0);
		return id;
	}

	int add_union(const char *name, size_t size, const std::vector<Field> &fields)
	{
		int id = btf__add_union(types_.get(), name, static_cast<uint32_t>(size));
		for (const Field &field : fields)
			EXPECT_EQ(btf__add_field(types_.get(), field.name, field.type, 0, 0), 0);
		return id;
	}

	int add_typedef(const char *name, int type) { return btf__add_typedef(types_.get(), name, type); }
	int add_const(int type) { return btf__add_const(types_.get(), type); }
	int add_pointer(int type) { return btf__add_ptr(types_.get(), type); }

private:
	BtfPtr types_;

public:
	const int u8 = add_integer("unsigned char", 1);
	const int u16 = add_integer("unsigned short", 2);
	const int u32 = add_integer("unsigned int", 4);
	const int u64 = add_integer("unsigned long long", 8);
	const int s8 = add_integer("signed char", 1, BTF_INT_SIGNED);
	const int s32 = add_integer("int", 4, BTF_INT_SIGNED);
	const int s64 = add_integer("long long", 8, BTF_INT_SIGNED);
};

StructReader reader(const btf *theirs, const btf *ours, const char *name, const char *index_enum = "")
{
	auto reader = StructReader::create(theirs, ours, name, index_enum);
	if (!reader)
		throw std::runtime_error(reader.error().sentence());
	return *reader;
}

// Our struct, which was filled with other bytes before.
template <typename Ours, typename Theirs> Ours read(const StructReader &reader, const Theirs &theirs)
{
	EXPECT_EQ(reader.size(), sizeof(theirs));
	Ours ours;
	std::memset(&ours, 0xee, sizeof(ours));
	reader.read({reinterpret_cast<const uint8_t *>(&theirs), sizeof(theirs)}, &ours);
	return ours;
}

TEST(LayoutTest, ConvertsIntegersOfAnotherWidth)
{
	struct Theirs {
		uint64_t narrower;
		uint32_t wider;
		uint16_t same;
		uint8_t widest;
		int8_t negative;
		int64_t less_negative;
	};
	struct Ours {
		uint32_t narrower;
		uint64_t wider;
		uint16_t same;
		uint64_t widest;
		int32_t negative;
		int32_t less_negative;
	};
	Types theirs, ours;
	theirs.add_struct("s", sizeof(Theirs),
			  {{"narrower", theirs.u64, offsetof(Theirs, narrower)},
			   {"wider", theirs.u32, offsetof(Theirs, wider)},
			   {"same", theirs.u16, offsetof(Theirs, same)},
			   {"widest", theirs.u8, offsetof(Theirs, widest)},
			   {"negative", theirs.s8, offsetof(Theirs, negative)},
			   {"less_negative", theirs.s64, offsetof(Theirs, less_negative)}});
	ours.add_struct("s", sizeof(Ours),
			{{"narrower", ours.u32, offsetof(Ours, narrower)},
			 {"wider", ours.u64, offsetof(Ours, wider)},
			 {"same", ours.u16, offsetof(Ours, same)},
			 {"widest", ours.u64, offsetof(Ours, widest)},
			 {"negative", ours.s32, offsetof(Ours, negative)},
			 {"less_negative", ours.s32, offsetof(Ours, less_negative)}});

	auto got = read<Ours>(reader(theirs.get(), ours.get(), "s"),
			      Theirs{0x1122334455667788, 0xfffffffe, 0xabcd, 0xff, -2, -70000});
	EXPECT_EQ(got.narrower, 0x55667788u);
	EXPECT_EQ(got.wider, 0xfffffffeu);
	EXPECT_EQ(got.same, 0xabcdu);
	EXPECT_EQ(got.widest, 0xffu);
	EXPECT_EQ(got.negative, -2);
	EXPECT_EQ(got.less_negative, -70000);
}

TEST(LayoutTest, FindsMembersByName)
{
	struct Theirs {
		uint32_t unknown;
		uint32_t b;
		uint32_t a;
		uint32_t c; // c and d are adjacent; in ours they are not
		uint32_t d;
		uint32_t unknown_too;
		uint32_t e;
	};
	struct Ours {
		uint32_t a;
		uint32_t missing;
		uint32_t b;
		uint32_t c;
		uint32_t missing_too;
		uint32_t d; // d and e are adjacent; in theirs they are not
		uint32_t e;
	};
	Types theirs, ours;
	const int u32 = theirs.u32;
	theirs.add_struct("other", 4, {{"a", u32, 0}});
	theirs.add_struct("s", sizeof(Theirs),
			  {{"unknown", u32, 0},
			   {"b", u32, 4},
			   {"a", u32, 8},
			   {"c", u32, 12},
			   {"d", u32, 16},
			   {"unknown_too", u32, 20},
			   {"e", u32, 24}});
	ours.add_struct("s", sizeof(Ours),
			{{"a", u32, 0},
			 {"missing", u32, 4},
			 {"b", u32, 8},
			 {"c", u32, 12},
			 {"missing_too", u32, 16},
			 {"d", u32, 20},
			 {"e", u32, 24}});

	auto got = read<Ours>(reader(theirs.get(), ours.get(), "s"), Theirs{1, 2, 3, 4, 5, 6, 7});
	EXPECT_EQ(got.a, 3u);
	EXPECT_EQ(got.missing, 0u);
	EXPECT_EQ(got.b, 2u);
	EXPECT_EQ(got.c, 4u);
	EXPECT_EQ(got.missing_too, 0u);
	EXPECT_EQ(got.d, 5u);
	EXPECT_EQ(got.e, 7u);
}

TEST(LayoutTest, FillsOurPaddingWithZeros)
{
	Types theirs, ours;
	theirs.add_struct("s", 1, {{"a", theirs.u8, 0}});
	ours.add_struct("s", 8, {{"a", ours.u8, 0}});
	EXPECT_THAT((read<std::array<uint8_t, 8>>(reader(theirs.get(), ours.get(), "s"), uint8_t{7})),
		    ElementsAre(7, 0, 0, 0, 0, 0, 0, 0));
}

TEST(LayoutTest, ReadsArraysElementByElement)
{
	struct TheirElement {
		uint64_t unknown;
		uint16_t a;
		uint16_t b;
	};
	struct Theirs {
		TheirElement element[2];
		uint16_t longer[4];
		uint8_t shorter[2];
		uint8_t matrix[2][3];
	};
	struct OurElement {
		uint16_t b;
		uint16_t a;
	};
	struct Ours {
		uint16_t longer[3];
		uint32_t shorter[4];
		OurElement element[2];
		uint16_t matrix[2][2];
	};
	Types theirs, ours;
	int element = theirs.add_struct("element", sizeof(TheirElement),
					{{"unknown", theirs.u64, 0}, {"a", theirs.u16, 8}, {"b", theirs.u16, 10}});
	theirs.add_struct("s", sizeof(Theirs),
			  {{"element", theirs.add_array(element, 2), offsetof(Theirs, element)},
			   {"longer", theirs.add_array(theirs.u16, 4), offsetof(Theirs, longer)},
			   {"shorter", theirs.add_array(theirs.u8, 2), offsetof(Theirs, shorter)},
			   {"matrix", theirs.add_array(theirs.add_array(theirs.u8, 3), 2), offsetof(Theirs, matrix)}});
	element = ours.add_struct("element", sizeof(OurElement), {{"b", ours.u16, 0}, {"a", ours.u16, 2}});
	ours.add_struct("s", sizeof(Ours),
			{{"longer", ours.add_array(ours.u16, 3), offsetof(Ours, longer)},
			 {"shorter", ours.add_array(ours.u32, 4), offsetof(Ours, shorter)},
			 {"element", ours.add_array(element, 2), offsetof(Ours, element)},
			 {"matrix", ours.add_array(ours.add_array(ours.u16, 2), 2), offsetof(Ours, matrix)}});

	Theirs in = {{{9, 1, 2}, {9, 3, 4}}, {5, 6, 7, 8}, {9, 10}, {{11, 12, 13}, {14, 15, 16}}};
	auto got = read<Ours>(reader(theirs.get(), ours.get(), "s"), in);
	EXPECT_EQ(got.element[0].a, 1u);
	EXPECT_EQ(got.element[0].b, 2u);
	EXPECT_EQ(got.element[1].a, 3u);
	EXPECT_EQ(got.element[1].b, 4u);
	EXPECT_THAT(got.longer, ElementsAre(5, 6, 7));
	EXPECT_THAT(got.shorter, ElementsAre(9, 10, 0, 0));
	EXPECT_THAT(got.matrix[0], ElementsAre(11, 12));
	EXPECT_THAT(got.matrix[1], ElementsAre(14, 15));
}

TEST(LayoutTest, FindsMembersByTheirFormerNames)
{
	struct Case {
		const char *in, *former, *member;
	};
	for (const Case &one : {Case{"tcpwin_flow", "word", "seq"}, Case{"tcpwin_progress", "known", "flags"},
				Case{"tcpwin_analysis", "facts", "flags"}}) {
		Types theirs, ours, newer;
		theirs.add_struct(one.in, 4, {{"a", theirs.u16, 0}, {one.former, theirs.u16, 2}});
		newer.add_struct(one.in, 4, {{one.former, newer.u16, 0}, {one.member, newer.u16, 2}});
		ours.add_struct(one.in, 4, {{one.member, ours.u32, 0}});
		const uint16_t in[2] = {1, 2};
		EXPECT_EQ(read<uint32_t>(reader(theirs.get(), ours.get(), one.in), in), 2u) << one.in;
		EXPECT_EQ(read<uint32_t>(reader(newer.get(), ours.get(), one.in), in), 2u) << one.in;
	}

	Types theirs, ours; // another struct
	theirs.add_struct("s", 4, {{"word", theirs.u32, 0}});
	ours.add_struct("s", 4, {{"seq", ours.u32, 0}});
	EXPECT_EQ(read<uint32_t>(reader(theirs.get(), ours.get(), "s"), uint32_t{1}), 0u);
}

TEST(LayoutTest, SeesThroughTypedefsAndQualifiers)
{
	Types theirs, ours;
	int inner = theirs.add_typedef("inner_t", theirs.add_struct("i", 4, {{"a", theirs.add_const(theirs.u16), 2}}));
	theirs.add_struct("s", 8,
			  {{"inner", theirs.add_const(inner), 4}, {"b", theirs.add_typedef("x", theirs.u32), 0}});
	inner = ours.add_struct("another_name", 2, {{"a", ours.add_typedef("y", ours.u16), 0}});
	ours.add_struct("s", 4, {{"b", ours.u16, 0}, {"inner", inner, 2}});

	const uint16_t in[4] = {1, 0, 2, 3};
	EXPECT_THAT((read<std::array<uint16_t, 2>>(reader(theirs.get(), ours.get(), "s"), in)), ElementsAre(1, 3));
}

TEST(LayoutTest, AnEnumerationIsAnInteger)
{
	Types theirs, ours;
	theirs.add_struct("s", 4, {{"a", theirs.add_enum("e", {{"zero", 0}, {"one", 1}}), 0}});
	ours.add_struct("s", 1, {{"a", ours.u8, 0}});
	EXPECT_EQ(read<uint8_t>(reader(theirs.get(), ours.get(), "s"), uint32_t{1}), 1u);

	Types negative;
	negative.add_struct("s", 4, {{"a", negative.add_enum("e", {{"minus", -1}}), 0}});
	Types wide;
	wide.add_struct("s", 8, {{"a", wide.s64, 0}});
	EXPECT_EQ(read<int64_t>(reader(negative.get(), wide.get(), "s"), int32_t{-1}), -1);
}

TEST(LayoutTest, MembersOfAnotherKindStayZero)
{
	Types theirs, ours;
	const int their_struct = theirs.add_struct("i", 4, {{"x", theirs.u32, 0}});
	const int our_struct = ours.add_struct("i", 4, {{"x", ours.u32, 0}});
	theirs.add_struct("s", 48,
			  {{"number", their_struct, 0},
			   {"structure", theirs.u32, 4},
			   {"array", theirs.u32, 8},
			   {"bits", theirs.u32, 12, 8},
			   {"pointer", theirs.add_pointer(theirs.u32), 16},
			   {"united", theirs.add_union("u", 4, {{"x", theirs.u32, 0}}), 24},
			   {"", theirs.u32, 28},
			   {"no_longer_united", theirs.add_union("v", 4, {{"x", theirs.u32, 0}}), 24},
			   {"huge", theirs.add_integer("huge", 16), 32}});
	ours.add_struct("s", 40,
			{{"number", ours.u32, 0},
			 {"structure", our_struct, 4},
			 {"array", ours.add_array(ours.u32, 1), 8},
			 {"bits", ours.u32, 12},
			 {"pointer", ours.add_pointer(ours.u32), 16},
			 {"united", ours.add_union("u", 4, {{"x", ours.u32, 0}}), 24},
			 {"", ours.u32, 28},
			 {"no_longer_united", our_struct, 24},
			 {"huge", ours.u64, 32}});

	std::array<uint8_t, 48> in;
	in.fill(0xff);
	EXPECT_THAT((read<std::array<uint8_t, 40>>(reader(theirs.get(), ours.get(), "s"), in)), Each(0));
}

TEST(LayoutTest, FindsElementsByTheNameOfTheirEnumerator)
{
	Types theirs, ours;
	theirs.add_enum("index", {{"new", 0}, {"b", 1}, {"a", 2}, {"count", 3}});
	theirs.add_struct("s", 12, {{"value", theirs.add_array(theirs.u32, 3), 0}});
	ours.add_enum("index", {{"a", 0}, {"gone", 1}, {"b", 2}, {"count", 3}});
	ours.add_struct("s", 24, {{"value", ours.add_array(ours.u64, 3), 0}});

	const uint32_t in[3] = {10, 11, 12};
	EXPECT_THAT((read<std::array<uint64_t, 3>>(reader(theirs.get(), ours.get(), "s", "index"), in)),
		    ElementsAre(12, 0, 11));
}

TEST(LayoutTest, EnumeratorsBeyondTheArrayAreIgnored)
{
	Types theirs, ours;
	theirs.add_enum("index", {{"a", 0}, {"b", 1}, {"c", 2}});
	theirs.add_struct("s", 12, {{"value", theirs.add_array(theirs.u32, 2), 0}}); // then 4 bytes of padding
	ours.add_enum("index", {{"c", 0}, {"a", 1}, {"b", 2}});
	ours.add_struct("s", 12, {{"value", ours.add_array(ours.u32, 2), 0}});

	const uint32_t in[3] = {10, 11, 12};
	EXPECT_THAT((read<std::array<uint32_t, 3>>(reader(theirs.get(), ours.get(), "s", "index"), in)),
		    ElementsAre(0, 10, 0));
}

TEST(LayoutTest, ErrorNamesTheMissingType)
{
	Types with, without;
	with.add_struct("s", 4, {{"a", with.u32, 0}});
	with.add_enum("e", {{"a", 0}});
	EXPECT_TRUE(StructReader::create(with.get(), with.get(), "s", "e"));
	without.add_typedef("s", without.u32);

	auto theirs = StructReader::create(without.get(), with.get(), "s");
	ASSERT_FALSE(theirs);
	EXPECT_THAT(theirs.error().sentence(), HasSubstr("struct s"));
	EXPECT_FALSE(StructReader::create(with.get(), without.get(), "s"));

	without.add_struct("s", 4, {{"a", without.u32, 0}});
	auto index = StructReader::create(without.get(), with.get(), "s", "e");
	ASSERT_FALSE(index);
	EXPECT_THAT(index.error().sentence(), HasSubstr("enum e"));
	EXPECT_FALSE(StructReader::create(with.get(), without.get(), "s", "e"));
}

// This also shows that types.h uses only kinds of members that StructReader can read.
template <typename T> void expect_equal_copy(const btf *types, const char *name, const char *index_enum = "")
{
	std::array<uint8_t, sizeof(T)> bytes;
	std::iota(bytes.begin(), bytes.end(), 1);
	EXPECT_EQ(read<decltype(bytes)>(reader(types, types, name, index_enum), bytes), bytes) << name;
}

TEST(LayoutTest, OurOwnLayoutIsCopiedByteForByte)
{
	auto own = own_btf();
	ASSERT_TRUE(own) << own.error().sentence();
	expect_equal_copy<tcpwin_key>(own->get(), "tcpwin_key");
	expect_equal_copy<tcpwin_flow>(own->get(), "tcpwin_flow");
	expect_equal_copy<tcpwin_record>(own->get(), "tcpwin_record");
	expect_equal_copy<tcpwin_counters>(own->get(), "tcpwin_counters");
	expect_equal_copy<tcpwin_counters>(own->get(), "tcpwin_counters", "tcpwin_counter");
}

TEST(LayoutTest, SameStructsHaveTheSameMembersAtTheSameOffsets)
{
	const std::vector<std::pair<const char *, bool>> all_fields[] = {
		{{"first", false}, {"second", false}}, {{"first", true}, {"second", false}}, // wider
		{{"second", false}, {"first", false}}, {{"first", false}, {"third", false}}, {{"first", false}},
	};
	Types ours;
	ours.add_struct("s", 8, {{"first", ours.u16, 0}, {"second", ours.u16, 4}});
	for (const auto &fields : all_fields) {
		Types theirs;
		std::vector<Field> placed;
		for (const auto &[name, wider] : fields)
			placed.push_back({name, wider ? theirs.u32 : theirs.u16, 4 * placed.size()});
		theirs.add_struct("s", 8, placed);
		EXPECT_EQ(has_same_struct(theirs.get(), ours.get(), "s"), &fields == &all_fields[0]);
	}
	Types larger, moved;
	larger.add_struct("s", 12, {{"first", larger.u16, 0}, {"second", larger.u16, 4}});
	moved.add_struct("s", 8, {{"first", moved.u16, 0}, {"second", moved.u16, 6}});
	EXPECT_FALSE(has_same_struct(larger.get(), ours.get(), "s"));
	EXPECT_FALSE(has_same_struct(moved.get(), ours.get(), "s"));
	EXPECT_FALSE(has_same_struct(ours.get(), ours.get(), "t"));
}

class MapBtfTest : public KernelTest {};

TEST_F(MapBtfTest, IsTheBtfOfTheObjectOfTheMap)
{
	std::unique_ptr<tcpwin_bpf, void (*)(tcpwin_bpf *)> object(tcpwin_bpf::open(), tcpwin_bpf::destroy);
	bpf_map__set_max_entries(object->maps.flows, 16);
	bpf_program *program = nullptr;
	bpf_object__for_each_program(program, object->obj) bpf_program__set_autoload(program, false);
	ASSERT_EQ(tcpwin_bpf::load(object.get()), 0);

	auto own = own_btf();
	ASSERT_TRUE(own);
	for (const bpf_map *map : {object->maps.flows, object->maps.counters}) {
		auto types = map_btf(bpf_map__fd(map));
		ASSERT_TRUE(types) << types.error().sentence();
		EXPECT_EQ(btf__type_cnt(types->get()), btf__type_cnt(own->get()));
		expect_equal_copy<tcpwin_record>(types->get(), "tcpwin_record");
	}
}

TEST_F(MapBtfTest, ErrorIfTheMapHasNone)
{
	int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "tcpwin_test", 4, 8, 1, nullptr);
	ASSERT_GE(array, 0);
	auto types = map_btf(array);
	close(array);
	ASSERT_FALSE(types);
	EXPECT_EQ(types.error().sentence(), "cannot read the types of map tcpwin_test: it has none");
	EXPECT_FALSE(map_btf(-1));
}

} // namespace
} // namespace tcpwin::test
