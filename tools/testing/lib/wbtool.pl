#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
#
# Operations of the writeback tests that a shell cannot do.
#
#   store FILE VALUE        makes one write(2) of VALUE and a newline, which SIGINT interrupts; prints the name of the
#                           error, or OK
#   exclusive DEVICE        opens the device exclusively, for writing; prints the name of the error, or OK
#   tails DEVICE COUNT      prints for each of the first COUNT pages the number of bytes before the zeros at its end
#   scan DEVICE INDEX COUNT FILE
#                           reads COUNT pages in one direct read(2); prints the name of the error, or OK, and a
#                           letter for each page of the buffer: r for the data of FILE at that place, z for zeros,
#                           u for an unchanged page, f for other data

use strict;
use warnings;
use Errno;
use Fcntl;
use POSIX ();

use constant PAGE => POSIX::sysconf(POSIX::_SC_PAGESIZE);

sub outcome {
	my ($good) = @_;
	return 'OK' if $good;
	my $number = $! + 0;
	for my $name (sort keys %!) {
		local $! = $number;
		return $name if $!{$name} && $name !~ /^(EWOULDBLOCK|EDEADLOCK|ENOTSUP)$/;
	}
	return "error $number";
}

sub store {
	my ($path, $value) = @_;
	# The shell makes processes in the background ignore SIGINT.
	local $SIG{INT} = sub { };
	sysopen(my $file, $path, O_WRONLY) or die "$path: $!\n";
	print outcome(defined syswrite($file, "$value\n")), "\n";
}

sub exclusive {
	my ($path) = @_;
	print outcome(sysopen(my $file, $path, O_RDWR | O_EXCL)), "\n";
}

sub tails {
	my ($path, $count) = @_;
	open(my $file, '<:raw', $path) or die "$path: $!\n";
	my @tails;
	for (1 .. $count) {
		read($file, my $page, PAGE) == PAGE or die "$path: $!\n";
		$page =~ s/\0+\z//;
		push @tails, length $page;
	}
	print "@tails\n";
}

sub scan {
	my ($path, $index, $count, $copy) = @_;
	my $size = $count * PAGE;
	sysopen(my $file, $path, O_RDONLY | O_DIRECT) or die "$path: $!\n";
	# Direct I/O needs aligned memory: an aligned offset of a string.
	my $buffer = 'u' x ($size + 2 * PAGE);
	substr($buffer, 0, 1) = 'u';
	my $at = -unpack('J', pack('p', $buffer)) % PAGE;
	sysseek($file, $index * PAGE, 0) or die "$path: $!\n";
	my $done = sysread($file, $buffer, $size, $at);
	my $outcome = outcome(defined $done);
	$outcome = "short: $done" if defined $done && $done != $size;
	open(my $good, '<:raw', $copy) or die "$copy: $!\n";
	seek($good, $index * PAGE, 0);
	my $pages = '';
	for my $i (0 .. $count - 1) {
		my $page = substr($buffer, $at + $i * PAGE, PAGE);
		read($good, my $want, PAGE);
		$pages .= $page eq $want ? 'r'
			: $page eq "\0" x PAGE ? 'z'
			: $page eq 'u' x PAGE ? 'u'
			: 'f';
	}
	print "$outcome $pages\n";
}

my %commands = (store => \&store, exclusive => \&exclusive, tails => \&tails, scan => \&scan);
my $command = $commands{shift // ''} or die "unknown command\n";
$| = 1;
$command->(@ARGV);
