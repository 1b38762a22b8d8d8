#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
#
# Compares transcripts of zscript.
#
#   zdiff.pl compare [-b] [-m] [-p] [-q] [-s] FIRST SECOND  prints "ok SECTION" or "not ok SECTION" for each section, with -q
#                                        only for those that differ, the differences in lines with "#", and at
#                                        the end "compared SECTIONS STEPS DIFFERENT". With -s, both are of one
#                                        driver, and nothing may differ. With -p, transcripts of two drivers may
#                                        differ in what differently_packed() and without_space() describe; with
#                                        -b, also in what depends on the number of blocks in use, and with -m, in
#                                        the memory that objects take
#   zdiff.pl shrink SECONDS DIRECTORY DRIVER DRIVER SECTION [OPTION...]
#                                        removes the steps of a script, SECTION, that a difference does not need,
#                                        and prints the others. Compares as with -p, with -b if zscript has the
#                                        option -p, and with -m if it has -h, for so many seconds. No module may be loaded.
#
# Each step of a section must have equal results on both drivers, except steps with the comment "# differs: ID", whose
# results must differ, and "# may differ: ID".

use strict;
use warnings;
use POSIX ();

# Where pages are larger than the blocks of a disk, some numbers differ (large-pages in Documentation/differences.rst):
# the maximum of memory used, incompressible pages that were stored, reads of the backing device, and failed writes.
my $page = POSIX::sysconf(POSIX::_SC_PAGESIZE());
my $large = $page > 4096;

my ($packing, $quiet, $same, $blocks, $memory);

# The number of pages by which the memory of objects may differ after a writeback: those of one zspage.
use constant PACKING => 8;

# Puts 0 in place of columns of a statistics file in a line of a transcript, together with the spaces that align them:
# a number that has more digits has fewer spaces before it.
sub without_columns {
	my ($line, $file, @columns) = @_;
	my %without = map { $_ => 1 } @columns;
	$line =~ s{(\b$file(?:: | => ok "))((?:\s*\d+)+)}{
		my ($before, $numbers, $column) = ($1, $2, 0);
		$numbers =~ s/\s*\d+/$without{$column++} ? ' 0' : $&/ge;
		"$before$numbers";
	}ge;
	return $line;
}

# A line of a transcript, without those numbers.
sub without_stores {
	my $line = without_columns($_[0], 'mm_stat', 4, 8);
	$line = without_columns($line, 'bd_stat', 1);
	return without_columns($line, 'io_stat', 1);
}

# A line of a transcript, without the numbers that depend on how many pages share a block, and on whether pages were
# moved to other blocks: those of blocks, and the maximum of memory used.
sub without_blocks {
	my $line = without_columns($_[0], 'mm_stat', 4);
	return without_columns($line, 'bd_stat', 0 .. 2);
}

# A line of a transcript, without the memory that objects take, its maximum, and what compaction has freed of it.
sub without_memory {
	return without_columns($_[0], 'mm_stat', 2, 4, 6);
}

# The next section of a transcript: its name, and a reference to its steps, each a list of lines.
my %next;

sub section {
	my ($file) = @_;
	my $name = defined $next{$file} ? $next{$file} : readline $file;
	return unless defined $name;
	$name =~ s/^=== //;
	chomp $name;
	my (@steps, $last);
	$last = '';
	while (1) {
		$next{$file} = readline $file;
		last if !defined $next{$file} || $next{$file} =~ /^=== /;
		$next{$file} = without_stores($next{$file}) if $large;
		$next{$file} = without_blocks($next{$file}) if $blocks;
		$next{$file} = without_memory($next{$file}) if $memory;
		my ($number) = $next{$file} =~ /^(\d+)\| /;
		$number = $last unless defined $number;
		push @steps, [] if $number ne $last || !@steps;
		push @{$steps[-1]}, $next{$file};
		$last = $number;
	}
	return ($name, \@steps);
}

# The part of a long line around the first difference.
sub window {
	my ($line, $other) = @_;
	chomp $line;
	return $line if length $line < 300;
	my $same = 0;
	($line ^ $other) =~ /^(\0*)/ and $same = length $1;
	my $from = $same > 100 ? $same - 100 : 0;
	return ($from ? '...' : '') . substr($line, $from, 200) . (length $line > $from + 200 ? '...' : '');
}

# The state of each slot, by what zscript says of ranges.
sub slots {
	my %slots;
	for ($_[0] =~ /(\d+-\d+:\S+)/g) {
		my ($from, $to, $state) = /^(\d+)-(\d+):(.*)/;
		$slots{$_} = $state for $from .. $to;
	}
	return \%slots;
}

# Whether two steps only differ in how a write failed at the limit of memory (limit-is-no-space in
# Documentation/differences.rst). Only sequences have that without a comment.
sub without_space {
	my ($first, $second) = (join('', @{$_[0]}), join('', @{$_[1]}));
	return $first =~ /\| write / && $first =~ s/ => EIO/ => ENOSPC/ && $first eq $second;
}

# Of two lines with all statistics, the statistics that differ; nothing for other lines.
sub statistics {
	my ($x, $y) = @_;
	return unless $x =~ / disksize: / && $y =~ / disksize: /;
	chomp($x, $y);
	my @y = split / (?=[a-z_]+: )/, $y;
	my $text = '';
	for my $x (split / (?=[a-z_]+: )/, $x) {
		my $y = shift @y;
		next if !defined $y || $x eq $y;
		if ($x =~ /^state: \d/ && $y =~ /^state: \d/) {
			my ($before, $after) = (slots($x), slots($y));
			my %all = (%$before, %$after);
			my @all = grep { ($before->{$_} || '') ne ($after->{$_} || '') } sort { $a <=> $b } keys %all;
			for my $slot (@all > 6 ? @all[0 .. 5] : @all) {
				$text .= "# - slot $slot: " . ($before->{$slot} || 'empty') . "\n";
				$text .= "# + slot $slot: " . ($after->{$slot} || 'empty') . "\n";
			}
			$text .= "#   and " . (@all - 6) . " slots more\n" if @all > 6;
		} else {
			$text .= "# - $x\n# + $y\n";
		}
	}
	return $text;
}

# Takes the numbers of mm_stat that depend on how objects are packed (memory used, its maximum, and what compaction
# freed), in pages, out of a text.
sub packing {
	my ($text) = @_;
	my @pages;
	$text =~ s{(\bmm_stat(?:: | => ok "\s*)\d+\s+\d+)\s+(\d+)(\s+\d+)\s+(\d+)(\s+\d+)\s+(\d+)}{
		push @pages, $2 / $page, $4 / $page, $6;
		"$1 -$3 -$5 -";
	}ge;
	return ($text, @pages);
}

# Whether two steps only differ by how objects are packed. After a writeback, that depends on the order in which it
# freed them: that of the completions of the device, and in C the reverse order of those that have completed. So two
# runs of C zram differ if the load of the machine does. Large pages that are stored more often are packed differently,
# too.
sub differently_packed {
	my ($first, @first) = packing(join '', @{$_[0]});
	my ($second, @second) = packing(join '', @{$_[1]});
	return $first eq $second && !grep { abs($first[$_] - $second[$_]) > PACKING } 0 .. $#first;
}

# The first difference of two sections: the number of the step, and a text. Nothing if there is none.
sub difference {
	my ($first, $second) = @_;
	my $written;
	for my $i (0 .. ($#$first > $#$second ? $#$first : $#$second)) {
		my ($a, $b) = ($first->[$i], $second->[$i]);
		my $text = '';
		if (!$a || !$b) {
			$text = "#   only one goes on: " . (defined $a ? $a : $b)->[0];
			return ($i, $text);
		}
		my $equal = join('', @$a) eq join('', @$b);
		$written ||= $a->[0] =~ /\| set \d+ writeback /;
		# In the step, not in its result.
		my ($may, $id) = $a->[0] =~ /^[^"]*(?:"[^"]*"[^"]*)* # (may )?differs?: ([\w-]+) =>/;
		undef $id if $same;
		next if $equal ? !defined $id || $may : defined $id;
		next if $packing && !$same && without_space($a, $b);
		next if ($large || $packing && $written) && !$same && differently_packed($a, $b);
		for my $before (($i > 3 ? $i - 3 : 0) .. $i - 1) {
			my $line = substr $first->[$before][0], 0, 150;
			chomp $line;
			$text .= "#   $line\n";
		}
		if ($equal) {
			chomp(my $line = $a->[0]);
			return ($i, "$text# should differ ($id), and does not: $line\n");
		}
		my $shown = 0;
		for my $line (0 .. ($#$a > $#$b ? $#$a : $#$b)) {
			my ($x, $y) = ($a->[$line], $b->[$line]);
			$x = '(nothing)' unless defined $x;
			$y = '(nothing)' unless defined $y;
			if ($x eq $y) {
				$text .= '#   ' . window($x, $y) . "\n" if $line == 0;
				next;
			}
			my $statistics = statistics($x, $y);
			if ($statistics) {
				$text .= $statistics;
				last;
			}
			$text .= '# - ' . window($x, $y) . "\n# + " . window($y, $x) . "\n";
			last if ++$shown == 4;
		}
		return ($i, $text);
	}
	return;
}

sub compare {
	my %options;
	$options{+shift} = 1 while @_ && $_[0] =~ /^-[bmpqs]$/;
	($packing, $quiet, $same, $blocks, $memory) = @options{qw(-p -q -s -b -m)};
	open(my $first, '<', $_[0]) or die "$_[0]: $!\n";
	open(my $second, '<', $_[1]) or die "$_[1]: $!\n";
	my ($sections, $steps, $different) = (0, 0, 0);
	while (my ($name, $a) = section($first)) {
		my ($other, $b) = section($second);
		if (!defined $other || $other ne $name) {
			print "not ok $name\n#   the second has no such section here\n";
			$different++;
			last;
		}
		$sections++;
		$steps += @$a;
		# The first driver lacks what the section needs.
		if (@$a && $a->[-1][0] =~ /\| needs .*=> (no \S+)/) {
			print "ok $name # SKIP $1\n";
			next;
		}
		my ($at, $text) = difference($a, $b);
		if (defined $at) {
			$different++;
			print "not ok $name\n$text";
		} elsif (!$quiet) {
			print "ok $name\n";
		}
	}
	print "compared $sections $steps $different\n";
}

# --- Shrinking ------------------------------------------------------------------------------------

# The numbers of the scripts whose transcripts differ, and the place of the first difference.
sub try {
	my ($dir, $drivers, $options, @scripts) = @_;
	open(my $out, '>', "$dir/shrink.zs") or die "$dir: $!\n";
	print $out "=== $_\n", map { "$_\n" } @{$scripts[$_]} for 0 .. $#scripts;
	close $out;
	my @files;
	for my $i (0, 1) {
		my $to = "$dir/shrink.$i";
		system("zscript @$options $drivers->[$i] $dir/shrink.zs >$to") == 0 or die "zscript failed\n";
		open(my $file, '<', $to) or die "$to: $!\n";
		push @files, $file;
	}
	%next = ();
	my (@differ, $where);
	while (my ($name, $a) = section($files[0])) {
		my ($other, $b) = section($files[1]);
		my ($at, undef) = difference($a, $b);
		next unless defined $at;
		push @differ, $name;
		$where = $at unless defined $where;
	}
	return ($where, @differ);
}

sub shrink {
	my ($seconds, $dir, $one, $two, $path, @options) = @_;
	$packing = 1;
	$blocks = grep { $_ eq '-p' } @options;
	$memory = grep { $_ eq '-h' } @options;
	my $until = time + $seconds;
	open(my $in, '<', $path) or die "$path: $!\n";
	chomp(my @steps = grep { !/^=== / } <$in>);
	my ($where) = try($dir, [$one, $two], \@options, \@steps);
	if (!defined $where) {
		print "# it does not differ again\n";
		return;
	}
	$#steps = $where if $where < $#steps;
	my $size = int(@steps / 2) || 1;
	while (time < $until) {
		my @tries;
		for (my $from = 0; $from < @steps; $from += $size) {
			my @less = @steps;
			splice @less, $from, $size;
			push @tries, \@less if @less;
		}
		my ($at, @differ) = try($dir, [$one, $two], \@options, @tries);
		if (@differ) {
			@steps = @{$tries[$differ[0]]};
			$#steps = $at if $at < $#steps;
			$size = @steps if $size > @steps;
			next;
		}
		last if $size == 1;
		$size = int(($size + 1) / 2);
	}
	print "$_\n" for @steps;
}

my %commands = (compare => \&compare, shrink => \&shrink);
my $command = $commands{shift @ARGV || ''} or die "usage: zdiff.pl compare|shrink ... (see the head of $0)\n";
$command->(@ARGV);
